"""The recipes that come with gantools, a YAML file each; `gantools.training.config` reads them."""
