#include "tests/unit/worker/support.h"

#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <cstring>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/rule_parser.h"

namespace sluice::worker {

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

Bytes be16(unsigned value) {
    return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}

namespace {

const Bytes kMacs = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
const Bytes kAddresses = {10, 0, 0, 1, 10, 0, 0, 2};

Bytes ipv4(unsigned protocol, const Bytes& payload) {
    return kMacs + be16(0x0800) + Bytes{0x45, 0} +
           be16(static_cast<unsigned>(20 + payload.size())) + be16(7) + be16(0) +
           Bytes{64, static_cast<std::uint8_t>(protocol)} + be16(0) + kAddresses + payload;
}

}  // namespace

Bytes udp_frame(unsigned destination_port, std::size_t payload) {
    return ipv4(17, be16(4000) + be16(destination_port) + be16(static_cast<unsigned>(8 + payload)) +
                        be16(0) + Bytes(payload, 0x5a));
}

Bytes tcp_syn_frame(unsigned destination_port) {
    return ipv4(6,
                be16(4000) + be16(destination_port) + Bytes(8, 1) + Bytes{0x50, 2} + Bytes(6, 0));
}

Bytes arp_frame() {
    return kMacs + be16(0x0806) + Bytes(28, 0);
}

std::vector<std::byte> image_of(const std::vector<std::string>& texts, std::uint64_t generation) {
    std::vector<language::Rule> rules;
    for (const std::string& text : texts) {
        auto rule = language::parse_rule(text, language::refusing_resolver());
        EXPECT_TRUE(rule) << text;
        rules.push_back(std::move(*rule));
    }
    std::vector<compiler::RuleInput> inputs;
    for (const language::Rule& rule : rules)
        inputs.push_back(
            {.rule = &rule, .slot = static_cast<std::uint32_t>(inputs.size() + 2), .log_limit = 0});
    contract::Sysctls sysctls;
    sysctls.verbose = 1;
    auto image = compiler::compile({.rules = inputs,
                                    .default_accept = false,
                                    .default_slot = 1,
                                    .sysctls = sysctls,
                                    .generation = generation});
    EXPECT_TRUE(image) << image.error().message;
    return *image;
}

std::unique_ptr<const program::Runtime> runtime_of(const std::vector<std::string>& rules,
                                                   std::uint64_t generation) {
    packet::Environment environment;
    environment.interfaces = {{"em0", {}}, {"em1", {}}};
    auto runtime = program::Runtime::create(image_of(rules, generation), environment, kTestSlots);
    EXPECT_TRUE(runtime) << runtime.error().message;
    return std::move(*runtime);
}

RingPort::RingPort(unsigned queues, unsigned transmit_size) {
    static unsigned count = 0;
    const std::string name = "t" + std::to_string(count++);
    for (unsigned i = 0; i < queues; ++i) {
        const std::string number = std::to_string(i);
        receive_.push_back(rte_ring_create((name + "r" + number).c_str(), 4096, -1, 0));
        transmit_.push_back(rte_ring_create((name + "t" + number).c_str(), transmit_size, -1, 0));
    }
    const int port =
        rte_eth_from_rings(name.c_str(), receive_.data(), queues, transmit_.data(), queues, 0);
    EXPECT_GE(port, 0);
    char device[RTE_ETH_NAME_MAX_LEN];
    EXPECT_EQ(rte_eth_dev_get_name_by_port(static_cast<std::uint16_t>(port), device), 0);
    device_ = device;
}

void RingPort::receive(rte_mbuf* packet, unsigned queue) {
    ASSERT_EQ(rte_ring_enqueue(receive_[queue], packet), 0);
}

void RingPort::receive(const Bytes& frame, unsigned queue) {
    receive(make_packet(frame), queue);
}

Bytes RingPort::sent(unsigned queue) {
    void* packet = nullptr;
    if (rte_ring_dequeue(transmit_[queue], &packet) != 0)
        return {};
    auto* mbuf = static_cast<rte_mbuf*>(packet);
    Bytes frame(mbuf->pkt_len);
    const void* bytes = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, frame.data());
    if (bytes != frame.data())
        std::memcpy(frame.data(), bytes, frame.size());
    rte_pktmbuf_free(mbuf);
    return frame;
}

std::size_t RingPort::sent_count(unsigned queue) const {
    return rte_ring_count(transmit_[queue]);
}

void RingPort::forget_sent() {
    for (unsigned queue = 0; queue < transmit_.size(); ++queue)
        while (!sent(queue).empty()) {
        }
}

rte_mempool* test_pool() {
    static rte_mempool* pool =
        rte_pktmbuf_pool_create("test", 8191, 0, 0, RTE_PKTMBUF_HEADROOM + 2048, -1);
    return pool;
}

rte_mbuf* make_packet(const Bytes& frame) {
    return make_chain(frame, 2048);
}

rte_mbuf* make_chain(const Bytes& frame, std::size_t piece) {
    rte_mbuf* head = nullptr;
    for (std::size_t at = 0; at < frame.size(); at += piece) {
        const auto length = static_cast<std::uint16_t>(std::min(piece, frame.size() - at));
        rte_mbuf* part = rte_pktmbuf_alloc(test_pool());
        std::memcpy(rte_pktmbuf_append(part, length), frame.data() + at, length);
        if (head == nullptr)
            head = part;
        else
            EXPECT_EQ(rte_pktmbuf_chain(head, part), 0);
    }
    return head;
}

unsigned packets_in_use() {
    return rte_mempool_in_use_count(test_pool());
}

}  // namespace sluice::worker
