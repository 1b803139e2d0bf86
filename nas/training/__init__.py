"""One trainer for the proxy task and the full training, its recipe and its data.

Import from the modules: the recipe and the proxy task are plain data, the trainer loads torch.
"""
