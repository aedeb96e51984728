"""FedMD with a Flower strategy of its own; Logitleak only records it."""
