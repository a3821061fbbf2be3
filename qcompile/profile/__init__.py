"""Times measured on a device: how they are taken, kept and looked up."""
