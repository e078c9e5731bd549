"""OpenAI's requests and responses, and the extensions that open-weights servers share."""
