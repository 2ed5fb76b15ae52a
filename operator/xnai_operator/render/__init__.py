"""Services as pod documents. Pure: rendering names what is to be mounted, and the back end prepares it."""
