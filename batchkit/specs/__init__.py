"""How a row becomes a request body: specs to generate, to embed, or requests that are ready."""
