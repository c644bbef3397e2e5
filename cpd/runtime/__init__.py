"""What everything runs on: artifacts, downloads, training loops, devices, executors."""
