"""The picture of an explanation: scene, panels and tiles on a canvas."""
