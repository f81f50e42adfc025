from tests.network import close_network

close_network()
