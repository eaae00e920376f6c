"""Where videos are worked on: this process, processes of this machine, a Dask or a Ray cluster."""
