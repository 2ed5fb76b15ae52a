"""A service as pod documents. Pure: what is to be mounted is named here and prepared by the back end."""
