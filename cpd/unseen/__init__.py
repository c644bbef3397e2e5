"""What a hypernetwork writes for people's own tasks and styles that it never saw, beside what is there without it."""
