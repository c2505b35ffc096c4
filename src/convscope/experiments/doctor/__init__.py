"""What this machine can do, and what training reaches of it: everything measured, nothing looked up."""

# torch's profiler writes a line to the terminal when it starts and when it stops; above its highest level it is silent.
SILENT_PROFILER = ("KINETO_LOG_LEVEL", "6")
