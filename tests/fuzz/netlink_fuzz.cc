// Any bytes as what a netlink socket has received: nothing is read beyond them, and what makes
// sense is worked into interfaces, routes and neighbours.
#include <linux/netlink.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/host/interfaces.h"
#include "dataplane/host/kernel_neighbours.h"
#include "dataplane/host/kernel_routes.h"
#include "dataplane/host/messages.h"

using namespace sluice;

namespace {

struct World {
    explicit World(route::Fib& fib)
        : interfaces({{"port0", 0}, {"port1", 1}}, 2),
          routes(interfaces, fib),
          neighbours(interfaces, fib) {}

    host::Interfaces interfaces;
    host::KernelRoutes routes;
    host::KernelNeighbours neighbours;
};

void apply(World& world, const host::Message& message) {
    if (const auto* link = std::get_if<host::LinkMessage>(&message)) {
        const auto touched = world.interfaces.apply(*link);
        world.neighbours.touch(touched);
        world.routes.touch(touched);
    } else if (const auto* address = std::get_if<host::AddressMessage>(&message)) {
        world.interfaces.apply(*address);
    } else if (const auto* route = std::get_if<host::RouteMessage>(&message)) {
        world.routes.apply(*route);
    } else if (const auto* neighbour = std::get_if<host::NeighbourMessage>(&message)) {
        world.neighbours.apply(*neighbour);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // A table with short prefixes of IPv4 touches many pages; with a small number of them it is
    // quick.
    auto fib =
        route::Fib::create({.groups = 256, .next_hops = 256, .path_sets = 16, .neighbours = 64});
    if (!fib)
        std::abort();
    World world(**fib);
    for (unsigned messages = 0; size >= sizeof(nlmsghdr) && messages < 64; ++messages) {
        nlmsghdr header;
        std::memcpy(&header, data, sizeof header);
        // The parser judges the length; here it only says where the next message begins. Memory of
        // its own shows what is read behind the end.
        const std::size_t length =
            std::min<std::size_t>(size, std::max<std::size_t>(header.nlmsg_len, sizeof header));
        const std::unique_ptr<std::byte[]> message(new std::byte[length]);
        std::memcpy(message.get(), data, length);
        const auto parsed = host::parse_message({message.get(), length});
        if (parsed)
            apply(world, *parsed);
        const std::size_t whole = std::min<std::size_t>(size, NLMSG_ALIGN(length));
        data += whole;
        size -= whole;
    }
    while (world.routes.scan(1000)) {
    }
    world.routes.flush();
    if (world.interfaces.list().size() > packet::kMaximumInterfaces)
        std::abort();
    return 0;
}
