"""Pretrained models: locate, load, adapt, save."""

import logging

# When peft is imported, bitsandbytes advises a kernel package that speeds up 4-bit products on some CPUs; it is not
# needed, and an advice before every run is noise.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
