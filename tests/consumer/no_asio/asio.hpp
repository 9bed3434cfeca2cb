#error "the core includes Asio"
