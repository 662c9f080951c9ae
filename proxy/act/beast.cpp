// Asio and Beast are compiled once, here (BOOST_{ASIO,BEAST}_SEPARATE_COMPILATION).
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
