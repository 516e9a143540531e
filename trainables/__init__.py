"""What one run is: the shared trainable and its parts. Runs without Ray; one module, `ray_trainable`, imports it."""

from trainables import _torchvision_hook

_torchvision_hook.install()
