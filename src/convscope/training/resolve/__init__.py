"""What "auto" becomes, once the images, the network and the machine are known."""
