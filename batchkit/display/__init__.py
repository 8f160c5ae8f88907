"""What people see: live progress, and how runs and results print."""
