// A valid snapshot with bytes changed, its checksum put right again so that the validator has to
// look deeper: it is refused with a reason, or it filters packets without touching a byte that it
// should not. The input is a list of changes, five bytes each: where (4 bytes), what (1 byte).
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "controlplane/compiler/compile.h"
#include "dataplane/program/engine.h"
#include "tests/reference/random_packets.h"
#include "tests/reference/random_rules.h"

using namespace sluice;

namespace {

constexpr std::uint32_t kSlots = 64;

struct Fixture {
    std::vector<std::byte> image;
    std::vector<reference::RandomPacket> packets;
    packet::Environment environment = reference::world(1);

    Fixture() {
        reference::Random random(7);
        const auto rules = reference::parse_rules(reference::random_ruleset(random, 30));
        std::vector<compiler::RuleInput> inputs;
        for (const language::Rule& rule : rules)
            inputs.push_back(
                {.rule = &rule, .slot = static_cast<std::uint32_t>(inputs.size() + 1)});
        ruleset::TableCatalogue tables;
        for (const language::Rule& rule : rules)
            if (!tables.make_for(rule))
                std::abort();
        contract::Sysctls sysctls;
        sysctls.verbose = 1;
        auto compiled = compiler::compile(
            {.rules = inputs, .default_slot = kSlots - 1, .sysctls = sysctls, .tables = &tables});
        if (!compiled)
            std::abort();
        image = *compiled;
        const reference::Corners corners = reference::corners_of(rules, random);
        for (int i = 0; i < 40; ++i)
            packets.push_back(reference::random_packet(
                random, corners, static_cast<unsigned>(environment.interfaces.size())));
    }
};

void filter(const program::Runtime& runtime, const Fixture& fixture) {
    constexpr std::uint32_t kRingCapacity = 64;
    std::vector<contract::RuleCounters> counters(kSlots);
    const std::vector<contract::SlotAnnotation> annotations(kSlots);
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    std::vector<Line> ring_memory(contract::log_ring_stride(kRingCapacity) / sizeof(Line));
    program::Engine engine({.counters = counters.data(),
                            .annotations = annotations.data(),
                            .slot_capacity = kSlots,
                            .log = contract::LogRing::create(ring_memory.data(), kRingCapacity)},
                           1);
    for (const reference::RandomPacket& input : fixture.packets) {
        packet::Packet packet;
        packet.malformed =
            packet::parse_frame(input.frame, runtime.parser_settings(), packet.headers);
        packet.passage = input.passage;
        program::Verdict verdict;
        program::PacketMarks marks;
        engine.filter(runtime, {&packet, 1}, {&verdict, 1}, {&marks, 1});
        while (verdict.kind == program::Verdict::Kind::tee)
            verdict = engine.resume(runtime, packet, verdict, marks);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Fixture fixture;
    std::vector<std::byte> image = fixture.image;
    for (std::size_t at = 0; at + 5 <= size; at += 5) {
        std::uint32_t where;
        std::memcpy(&where, data + at, sizeof where);
        image[where % image.size()] = static_cast<std::byte>(data[at + 4]);
    }
    contract::SnapshotHeader header;
    std::memcpy(&header, image.data(), sizeof header);
    header.checksum = contract::snapshot_checksum(image);
    std::memcpy(image.data(), &header, sizeof header);
    const auto runtime = program::Runtime::create(image, fixture.environment, kSlots);
    if (runtime)
        filter(**runtime, fixture);
    else if (runtime.error().message.empty())
        std::abort();
    return 0;
}
