#include "perf/classifier/acl.h"

#include <rte_acl.h>
#include <rte_byteorder.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "perf/classifier/measure.h"

namespace sluice::perf {

namespace {

// As rte_acl wants it: big endian, the first field one byte, fields of one input word together.
struct Key4 {
    std::uint8_t protocol;
    std::uint8_t unused[3];
    std::uint32_t source;
    std::uint32_t destination;
    std::uint16_t source_port;
    std::uint16_t destination_port;
};
struct Key6 {
    std::uint8_t protocol;
    std::uint8_t unused[3];
    std::uint32_t source[4];
    std::uint32_t destination[4];
    std::uint16_t source_port;
    std::uint16_t destination_port;
};
static_assert(sizeof(Key4) == 16 && sizeof(Key6) == 40);

constexpr unsigned kMostFields = 11;
RTE_ACL_RULE_DEF(AclRule, kMostFields);

unsigned field_count(int ip_version) {
    return ip_version == 4 ? 5 : 11;
}

rte_acl_config configuration(int ip_version) {
    rte_acl_config config{};
    config.num_categories = 1;
    config.num_fields = field_count(ip_version);
    unsigned offset = 0, input = 0;
    for (unsigned i = 0; i < config.num_fields; ++i) {
        const bool is_protocol = i == 0;
        const bool is_port = i + 2 >= config.num_fields;
        const bool is_second_port = i + 1 == config.num_fields;
        config.defs[i] = {
            .type = static_cast<std::uint8_t>(is_protocol ? RTE_ACL_FIELD_TYPE_BITMASK
                                              : is_port   ? RTE_ACL_FIELD_TYPE_RANGE
                                                          : RTE_ACL_FIELD_TYPE_MASK),
            .size = static_cast<std::uint8_t>(is_protocol ? 1
                                              : is_port   ? 2
                                                          : 4),
            .field_index = static_cast<std::uint8_t>(i),
            .input_index = static_cast<std::uint8_t>(is_second_port ? input - 1 : input),
            .offset = offset};
        if (!is_second_port)
            ++input;
        offset += is_port ? 2 : 4;
    }
    return config;
}

AclRule acl_rule(const Rule& rule, std::uint32_t index, int ip_version) {
    AclRule result;
    std::memset(&result, 0, sizeof result);
    result.data.userdata = index + 1;
    result.data.category_mask = 1;
    result.data.priority = static_cast<std::int32_t>(RTE_ACL_MAX_PRIORITY - index);
    if (rule.protocol != kAnyProtocol) {
        result.field[0].value.u8 = static_cast<std::uint8_t>(rule.protocol);
        result.field[0].mask_range.u8 = 0xff;
    }
    rte_acl_field* field = result.field + 1;
    const unsigned words = ip_version == 4 ? 1 : 4;
    for (const Prefix* prefix : {&rule.source, &rule.destination}) {
        for (unsigned i = 0; i < words; ++i, ++field) {
            const int bits = static_cast<int>(prefix->length) - 32 * static_cast<int>(i);
            field->value.u32 = prefix->address[i];
            field->mask_range.u32 = static_cast<std::uint32_t>(std::clamp(bits, 0, 32));
        }
    }
    for (const PortRange* ports : {&rule.source_ports, &rule.destination_ports}) {
        field->value.u16 = ports->first;
        field->mask_range.u16 = ports->last;
        ++field;
    }
    return result;
}

std::size_t dpdk_bytes() {
    rte_malloc_socket_stats stats{};
    rte_malloc_get_socket_stats(0, &stats);
    return stats.heap_allocsz_bytes;
}

int allow_huge(const rte_memseg_list* list, void*) {
    madvise(list->base_va, list->len, MADV_HUGEPAGE);
    return 0;
}

}  // namespace

Result<Done> start_dpdk(unsigned cpu, bool huge_pages, unsigned ordinary_mb) {
    std::vector<std::string> words = {
        "classifier_benchmark",          "--no-pci", "--no-telemetry",   "--log-level=error",
        "--force-max-simd-bitwidth=512", "-l",       std::to_string(cpu)};
    if (huge_pages)
        words.push_back("--in-memory");
    else
        words.insert(words.end(), {"--no-huge", "--no-shconf", "-m", std::to_string(ordinary_mb)});
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0)
        return Error{ExitStatus::os,
                     std::string("DPDK does not start: ") + rte_strerror(rte_errno)};
    if (!huge_pages)
        rte_memseg_list_walk(allow_huge, nullptr);
    return Done{};
}

Result<std::unique_ptr<Acl>> Acl::build(const RuleSet& set) {
    std::unique_ptr<Acl> acl(new Acl);
    const auto count = static_cast<std::uint32_t>(set.rules.size());
    rte_acl_param parameters{};
    parameters.name = set.name.c_str();
    parameters.socket_id = SOCKET_ID_ANY;
    parameters.rule_size = RTE_ACL_RULE_SZ(field_count(set.ip_version));
    parameters.max_rule_num = count;
    acl->context_ = rte_acl_create(&parameters);
    if (acl->context_ == nullptr)
        return Error{ExitStatus::os,
                     std::string("rte_acl cannot be made: ") + rte_strerror(rte_errno)};
    for (std::uint32_t i = 0; i < count; ++i) {
        const AclRule rule = acl_rule(set.rules[i], i, set.ip_version);
        if (rte_acl_add_rules(acl->context_, reinterpret_cast<const rte_acl_rule*>(&rule), 1) != 0)
            return Error{ExitStatus::os, "rte_acl refuses rule " + std::to_string(i)};
    }
    const rte_acl_config config = configuration(set.ip_version);
    const std::size_t before = dpdk_bytes();
    forget_peak();
    const std::size_t resident = peak_bytes();
    const double begin = thread_seconds();
    const int code = rte_acl_build(acl->context_, &config);
    acl->costs_.build_s = thread_seconds() - begin;
    acl->costs_.bytes = dpdk_bytes() - before;
    acl->costs_.peak_bytes = peak_bytes() - resident;
    if (code != 0)
        return Error{ExitStatus::os,
                     std::string("rte_acl cannot be built: ") + rte_strerror(-code)};
    constexpr struct {
        const char* name;
        enum rte_acl_classify_alg number;
    } kMethods[] = {{"scalar", RTE_ACL_CLASSIFY_SCALAR},
                    {"sse", RTE_ACL_CLASSIFY_SSE},
                    {"avx2", RTE_ACL_CLASSIFY_AVX2},
                    {"avx512x16", RTE_ACL_CLASSIFY_AVX512X16},
                    {"avx512x32", RTE_ACL_CLASSIFY_AVX512X32}};
    for (const auto& method : kMethods) {
        if (rte_acl_set_ctx_classify(acl->context_, method.number) != 0)
            continue;
        acl->methods_.push_back(method.name);
        acl->method_numbers_.push_back(method.number);
    }
    acl->results_.resize(kBurst);
    return acl;
}

Acl::~Acl() {
    rte_acl_free(context_);
}

void Acl::use_method(std::size_t index) {
    rte_acl_set_ctx_classify(context_,
                             static_cast<enum rte_acl_classify_alg>(method_numbers_[index]));
}

void Acl::read(const std::vector<Tuple>& tuples, int ip_version) {
    const std::size_t size = ip_version == 4 ? sizeof(Key4) : sizeof(Key6);
    keys_.assign(tuples.size() * size, 0);
    key_pointers_.resize(tuples.size());
    for (std::size_t i = 0; i < tuples.size(); ++i) {
        const Tuple& tuple = tuples[i];
        std::uint8_t* place = keys_.data() + i * size;
        key_pointers_[i] = place;
        if (ip_version == 4) {
            const Key4 key = {.protocol = tuple.protocol,
                              .unused = {},
                              .source = rte_cpu_to_be_32(tuple.source[0]),
                              .destination = rte_cpu_to_be_32(tuple.destination[0]),
                              .source_port = rte_cpu_to_be_16(tuple.source_port),
                              .destination_port = rte_cpu_to_be_16(tuple.destination_port)};
            std::memcpy(place, &key, sizeof key);
            continue;
        }
        Key6 key = {.protocol = tuple.protocol,
                    .unused = {},
                    .source = {},
                    .destination = {},
                    .source_port = rte_cpu_to_be_16(tuple.source_port),
                    .destination_port = rte_cpu_to_be_16(tuple.destination_port)};
        for (std::size_t word = 0; word < 4; ++word) {
            key.source[word] = rte_cpu_to_be_32(tuple.source[word]);
            key.destination[word] = rte_cpu_to_be_32(tuple.destination[word]);
        }
        std::memcpy(place, &key, sizeof key);
    }
}

void Acl::classify(std::size_t first, std::size_t count) {
    rte_acl_classify(context_, key_pointers_.data() + first, results_.data(),
                     static_cast<std::uint32_t>(count), 1);
}

std::uint32_t Acl::match(std::size_t place) const {
    return results_[place] - 1;
}

}  // namespace sluice::perf
