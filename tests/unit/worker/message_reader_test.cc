#include "dataplane/app/message_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <variant>
#include <vector>

#include "common/unique_fd.h"

namespace sluice::dataplane {
namespace {

contract::Offer good_offer() {
    contract::Offer offer;
    offer.header.length = sizeof offer;
    offer.generation = 3;
    offer.size = 4096;
    return offer;
}

std::string refusal(const contract::Offer& offer, std::size_t descriptors = 1,
                    std::size_t length = sizeof(contract::Offer)) {
    const auto result =
        read_request(std::as_bytes(std::span(&offer, 1)).first(length), descriptors);
    return result ? "" : result.error().message;
}

TEST(MessageReaderTest, AGoodOfferIsRead) {
    const contract::Offer offer = good_offer();
    const auto result = read_request(std::as_bytes(std::span(&offer, 1)), 1);
    ASSERT_TRUE(result);
    const auto& read = std::get<contract::Offer>(*result);
    EXPECT_EQ(read.generation, 3u);
    EXPECT_EQ(read.size, 4096u);
}

template <typename Message>
std::string refusal_of(const contract::StateFilter& filter, std::size_t descriptors = 0,
                       std::uint32_t length = sizeof(Message)) {
    Message message;
    message.header.length = length;
    message.filter = filter;
    const auto result =
        read_request(std::as_bytes(std::span(&message, 1)).first(length), descriptors);
    return result ? "" : result.error().message;
}

TEST(MessageReaderTest, FiltersOfStatesAreReadOrRefused) {
    using List = contract::StatesRequest;
    using Kill = contract::KillStates;
    EXPECT_EQ(refusal_of<List>({}), "");
    EXPECT_EQ(refusal_of<Kill>({.ip_version = 4, .prefix_length = 32, .address = {}}), "");
    EXPECT_EQ(refusal_of<List>({.ip_version = 6, .prefix_length = 128, .address = {}}), "");
    EXPECT_EQ(refusal_of<Kill>({.protocol = 0, .has_protocol = 1, .address = {}}), "");
    EXPECT_EQ(refusal_of<Kill>({.ip_version = 4, .prefix_length = 33, .address = {}}),
              "a filter of states has a prefix of 33 bits, at most 32 are possible");
    EXPECT_EQ(refusal_of<List>({.ip_version = 6, .prefix_length = 129, .address = {}}),
              "a filter of states has a prefix of 129 bits, at most 128 are possible");
    EXPECT_EQ(refusal_of<List>({.prefix_length = 1, .address = {}}),
              "a filter of states has a prefix of 1 bits, at most 0 are possible");
    EXPECT_EQ(refusal_of<List>({.ip_version = 7, .address = {}}),
              "a filter of states names IP version 7");
    constexpr char kUnclear[] =
        "a filter of states does not say clearly whether it names a protocol";
    EXPECT_EQ(refusal_of<List>({.has_protocol = 2, .address = {}}), kUnclear);
    EXPECT_EQ(refusal_of<Kill>({.protocol = 6, .address = {}}), kUnclear);
    EXPECT_EQ(refusal_of<List>({}, 1),
              "a request for states comes without a descriptor, not with 1");
    EXPECT_EQ(refusal_of<Kill>({}, 0, 40), "an order to kill states has 48 bytes, not 40");
    contract::StatesRequest odd;
    odd.header.length = sizeof odd;
    odd.wanted = static_cast<contract::StatesWanted>(2);
    const auto result = read_request(std::as_bytes(std::span(&odd, 1)), 0);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message,
              "a request for states wants neither records nor their number");
}

TEST(MessageReaderTest, AnOrderToJudgeStatesAnewIsReadOrRefused) {
    contract::RecheckStates order;
    order.header.length = sizeof order;
    order.from = {.worker = 3, .cell = 77};
    const auto bytes = std::as_bytes(std::span(&order, 1));
    const auto read = read_request(bytes, 0);
    ASSERT_TRUE(read);
    EXPECT_EQ(std::get<contract::RecheckStates>(*read).from.cell, 77u);
    EXPECT_EQ(read_request(bytes, 2).error().message,
              "an order to judge states anew comes without a descriptor, not with 2");
    order.header.length = 16;
    EXPECT_EQ(read_request(bytes.first(16), 0).error().message,
              "an order to judge states anew has 24 bytes, not 16");
}

// What a control plane has sent once, which the fuzzer begins with, is as it would send it now.
TEST(MessageReaderTest, TheCorpusOfTheFuzzerIsRead) {
    std::set<std::size_t> kinds;
    for (const auto& entry : std::filesystem::directory_iterator(SLUICE_CORPUS)) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::vector<char> bytes(std::istreambuf_iterator<char>(file), {});
        ASSERT_GT(bytes.size(), sizeof(contract::MessageHeader)) << entry.path();
        std::vector<char> message(bytes.begin() + 1, bytes.end());
        std::memcpy(message.data() + offsetof(contract::MessageHeader, version),
                    &contract::kMessageVersion, sizeof contract::kMessageVersion);
        const auto request = read_request(std::as_bytes(std::span(message)),
                                          static_cast<unsigned char>(bytes[0]) % 4);
        ASSERT_TRUE(request) << entry.path() << ": " << request.error().message;
        kinds.insert(request->index());
    }
    EXPECT_EQ(kinds.size(), std::variant_size_v<Request>) << "a kind of message is missing";
}

TEST(MessageReaderTest, EveryRefusalSaysWhy) {
    EXPECT_EQ(refusal(good_offer(), 1, 5), "a message of 5 bytes is shorter than its header");
    EXPECT_EQ(refusal(good_offer(), 1, 24), "the message says that it has 48 bytes and has 24");
    EXPECT_EQ(refusal(good_offer(), 0), "an offer comes with one descriptor, not 0");
    EXPECT_EQ(refusal(good_offer(), 2), "an offer comes with one descriptor, not 2");
    contract::Offer offer = good_offer();
    offer.header.magic = 1;
    EXPECT_EQ(refusal(offer), "what came is not a message of the Sluice contract");
    offer = good_offer();
    offer.header.version = 9;
    EXPECT_EQ(refusal(offer), "the message has version 9, this data plane speaks version " +
                                  std::to_string(contract::kMessageVersion) +
                                  ": install both programs from the same release");
    offer = good_offer();
    offer.header.type = contract::MessageType::hello;
    EXPECT_EQ(refusal(offer), "a message of type 1 is not expected here");
    offer = good_offer();
    offer.header.length = 24;
    EXPECT_EQ(refusal(offer, 1, 24), "an offer has 48 bytes, not 24");
    offer = good_offer();
    offer.size = 8;
    EXPECT_EQ(refusal(offer), "a snapshot cannot have 8 bytes");
    offer.size = UINT64_MAX;
    EXPECT_EQ(refusal(offer), "a snapshot cannot have 18446744073709551615 bytes");
}

TEST(MessageReaderTest, RequestsAboutTablesAreReadOrRefused) {
    const auto refusal_with = [](auto change, std::size_t descriptors) {
        contract::TablesRequest request;
        request.header.length = sizeof request;
        request.size = 64;
        change(request);
        const auto result = read_request(std::as_bytes(std::span(&request, 1)), descriptors);
        return result ? "" : result.error().message;
    };
    EXPECT_EQ(refusal_with([](auto&) {}, 1), "");
    EXPECT_EQ(refusal_with([](auto&) {}, 0),
              "a request about tables comes with one descriptor, not 0");
    EXPECT_EQ(refusal_with([](auto& r) { r.size = 8; }, 1),
              "a batch of changes to tables cannot have 8 bytes");
    EXPECT_EQ(refusal_with([](auto& r) { r.mode = contract::TablesMode::count_; }, 1),
              "a request about tables is of an unknown mode");
    contract::Offer offer = good_offer();
    offer.with_tables = 2;
    EXPECT_EQ(refusal(offer), "an offer does not say clearly whether tables change with it");
}

TEST(MessageReaderTest, OnlySealedFilesOfTheRightSizeAreTaken) {
    const UniqueFd file(memfd_create("test", MFD_ALLOW_SEALING));
    ASSERT_EQ(ftruncate(file.get(), 4096), 0);
    EXPECT_FALSE(check_image_file(file.get(), 4096));
    for (const int seal : {F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK}) {
        ASSERT_EQ(fcntl(file.get(), F_ADD_SEALS, seal), 0);
        EXPECT_FALSE(check_image_file(file.get(), 4096));
    }
    ASSERT_EQ(fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL), 0);
    EXPECT_TRUE(check_image_file(file.get(), 4096));
    EXPECT_FALSE(check_image_file(file.get(), 4095));
    const UniqueFd other(open("/dev/null", O_RDONLY));
    EXPECT_FALSE(check_image_file(other.get(), 0));
    EXPECT_FALSE(check_image_file(-1, 0));
}

TEST(MessageReaderTest, AnOfferForATimeHasABoundAndNoTables) {
    contract::Offer offer = good_offer();
    offer.revert_after_ms = contract::kLongestReversionMs;
    EXPECT_TRUE(read_request(std::as_bytes(std::span(&offer, 1)), 1));
    offer.with_tables = 1;
    EXPECT_EQ(refusal(offer), "tables do not return with a ruleset that is not confirmed");
    offer.with_tables = 0;
    ++offer.revert_after_ms;
    EXPECT_EQ(refusal(offer), "an offer cannot wait for its confirmation longer than 24 hours");
}

TEST(MessageReaderTest, AnOrderSaysClearlyWhatIsToBeDone) {
    const auto refused = [](contract::OrderKind kind, contract::Panic panic, std::size_t files) {
        contract::Order order{.kind = kind, .panic = panic};
        order.header.length = sizeof order;
        const auto result = read_request(std::as_bytes(std::span(&order, 1)), files);
        return result ? std::string() : result.error().message;
    };
    using Kind = contract::OrderKind;
    using contract::Panic;
    constexpr char kUnclear[] = "an order does not say clearly what is to be done";
    EXPECT_EQ(refused(Kind::panic, Panic::deny, 0), "");
    EXPECT_EQ(refused(Kind::lock, Panic::off, 0), "");
    EXPECT_EQ(refused(Kind::lock, Panic::pass, 0), kUnclear);
    EXPECT_EQ(refused(Kind::count_, Panic::off, 0), kUnclear);
    EXPECT_EQ(refused(Kind::panic, static_cast<Panic>(3), 0), kUnclear);
    EXPECT_EQ(refused(Kind::lock, Panic::off, 1),
              "an order comes without a descriptor, not with 1");
}

TEST(MessageReaderTest, AnOrderToWatchSaysClearlyWhat) {
    const auto refused = [](const auto& spoil, std::size_t files) {
        contract::WatchOrder order;
        order.on = 1;
        order.header.length = sizeof order;
        spoil(order);
        const auto result = read_request(std::as_bytes(std::span(&order, 1)), files);
        return result ? std::string() : result.error().message;
    };
    using contract::WatchOrder;
    constexpr char kUnclear[] = "an order to watch does not say clearly what is to be watched";
    EXPECT_EQ(refused([](WatchOrder&) {}, 0), "");
    EXPECT_EQ(refused([](WatchOrder& o) { o.filter = {.ip_version = 6, .prefix_length = 128}; }, 0),
              "");
    EXPECT_EQ(refused([](WatchOrder& o) { o.filter = {.ip_version = 4, .prefix_length = 33}; }, 0),
              kUnclear);
    EXPECT_EQ(refused([](WatchOrder& o) { o.filter.prefix_length = 1; }, 0), kUnclear);
    EXPECT_EQ(refused([](WatchOrder& o) { o.filter.has_protocol = 2; }, 0), kUnclear);
    EXPECT_EQ(refused([](WatchOrder& o) { o.filter.way = static_cast<contract::WantedWay>(3); }, 0),
              kUnclear);
    EXPECT_EQ(refused([](WatchOrder& o) { o.filter.fate = static_cast<contract::Fate>(3); }, 0),
              kUnclear);
    EXPECT_EQ(refused([](WatchOrder& o) { o.on = 2; }, 0), kUnclear);
    EXPECT_EQ(refused([](WatchOrder& o) { o.snap_length = 0; }, 0),
              "of a frame 1 to 1920 bytes can be captured, not 0");
    EXPECT_EQ(refused([](WatchOrder& o) { o.snap_length = 1921; }, 0),
              "of a frame 1 to 1920 bytes can be captured, not 1921");
    EXPECT_EQ(refused([](WatchOrder&) {}, 1),
              "an order to watch comes without a descriptor, not with 1");
}

}  // namespace
}  // namespace sluice::dataplane
