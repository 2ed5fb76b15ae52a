"""`xnai`: a client of the API like kubectl, and what starts and stops the control plane.

`app` declares the commands and imports only what their help needs. The body of a command is the `run` of the module
of its name, imported when the command is called.
"""
