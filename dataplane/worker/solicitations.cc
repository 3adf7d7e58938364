#include "dataplane/worker/solicitations.h"

#include <rte_common.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <cstdlib>

namespace sluice::worker {

namespace {

constexpr unsigned kCapacity = 256;
static_assert(sizeof(Solicitation) % 4 == 0);

rte_ring* make_ring() {
    const auto size = static_cast<std::size_t>(
        rte_ring_get_memsize_elem(sizeof(Solicitation), rte_align32pow2(kCapacity + 1)));
    auto* ring = static_cast<rte_ring*>(
        std::aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE)));
    if (ring == nullptr || rte_ring_init(ring, "solicitations", kCapacity,
                                         RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ) != 0)
        std::abort();  // some KB: out of memory before anything runs
    return ring;
}

}  // namespace

void Solicitations::Free::operator()(rte_ring* ring) const {
    std::free(ring);
}

Result<Solicitations> Solicitations::create(unsigned workers) {
    auto bell = Bell::create();
    if (!bell)
        return bell.error();
    return Solicitations(workers, std::move(*bell));
}

Solicitations::Solicitations(unsigned workers, Bell bell) : bell_(std::move(bell)) {
    // The main thread comes now and then; until it has looked again, it counts as asleep.
    bell_.about_to_sleep();
    for (unsigned worker = 0; worker < workers; ++worker)
        rings_.emplace_back(make_ring());
}

void Solicitations::ask(unsigned worker, const Solicitation& wanted) {
    rte_ring_sp_enqueue_elem(rings_[worker].get(), const_cast<Solicitation*>(&wanted),
                             sizeof wanted);
    bell_.wake();
}

std::vector<Solicitation> Solicitations::take(std::size_t maximum) {
    // First this, so that whatever is asked from now on rings again.
    bell_.awake();
    bell_.about_to_sleep();
    std::vector<Solicitation> taken;
    for (auto& ring : rings_) {
        Solicitation wanted;
        while (taken.size() < maximum &&
               rte_ring_sc_dequeue_elem(ring.get(), &wanted, sizeof wanted) == 0)
            taken.push_back(wanted);
    }
    return taken;
}

}  // namespace sluice::worker
