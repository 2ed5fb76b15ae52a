"""The resources: pydantic models are the source, `crds/` is generated from them."""
