"""A space whose networks learn something of small images in seconds."""

SHALLOW = """
schema: 1
space: shallow
network: {resolution: 16, stem: {channels: 16}, head_channels: 64, dropout: 0}
stages:
  - {op: [ds, mbconv3], channels: [12, 16], kernel: [3, 5], stride: 2}
  - {op: [ds, mbconv3], channels: [24, 32], kernel: [3, 5], stride: 2}
"""
