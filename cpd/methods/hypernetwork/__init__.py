"""A network that writes adapters, trained through the loss of the tasks."""
