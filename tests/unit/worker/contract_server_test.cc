#include "dataplane/app/contract_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/contract/snapshot.h"

namespace sluice::dataplane {
namespace {

class ContractServerTest : public testing::Test {
  protected:
    ContractServerTest() {
        char folder[] = "/tmp/sluice-test-XXXXXX";
        folder_ = mkdtemp(folder);
        for (UniqueFd& file : files_)
            file = UniqueFd(memfd_create("test", 0));
    }
    ~ContractServerTest() override { std::filesystem::remove_all(folder_); }

    Result<ContractServer> listen() {
        return ContractServer::listen(
            path(),
            {.counters = files_[0].get(),
             .log_rings = files_[1].get(),
             .annotations = files_[2].get()},
            {.describe =
                 [] {
                     contract::Hello hello;
                     hello.boot_id = 77;
                     return hello;
                 },
             .publish = [this](std::span<const std::byte> image,
                               ContractServer::Callbacks::Prepared tables)
                 -> Result<contract::RulesetCost> {
                 with_tables_ = tables == ContractServer::Callbacks::Prepared::commit;
                 published_.emplace_back(image.begin(), image.end());
                 if (!refusal_.empty())
                     return Error{ExitStatus::data, refusal_};
                 contract::RulesetCost cost;
                 cost.build_us = 100 + published_.size();
                 return cost;
             },
             .list_states =
                 [this](const contract::StatesRequest& request) {
                     filters_.push_back(request.filter);
                     return StatesPiece{
                         .records = records_,
                         .count = 5,
                         .next = {.worker = request.from.worker, .cell = request.from.cell + 10},
                         .last = records_.empty()};
                 },
             .kill_states = [this](const contract::StateFilter& filter) -> Result<std::uint64_t> {
                 filters_.push_back(filter);
                 if (!refusal_.empty())
                     return Error{ExitStatus::unavailable, refusal_};
                 return records_.size();
             },
             .recheck_states =
                 [this](const contract::RecheckStates& request) -> Result<contract::RecheckReply> {
                 if (!refusal_.empty())
                     return Error{ExitStatus::unavailable, refusal_};
                 contract::RecheckReply reply;
                 reply.header.length = sizeof reply;
                 reply.moved = 3;
                 reply.next = {.worker = request.from.worker, .cell = request.from.cell + 10};
                 return reply;
             },
             .change_tables =
                 [this](std::span<const std::byte> batch, contract::TablesMode,
                        const std::function<void()>& working) -> Result<std::vector<std::byte>> {
                 for (; slow_steps_ != 0; --slow_steps_) {
                     usleep(contract::kWorkingIntervalMs * 1000 / 10);
                     working();
                 }
                 if (!refusal_.empty())
                     return Error{ExitStatus::data, refusal_};
                 return std::vector<std::byte>(batch.begin(), batch.end());
             },
             .list_tables = [this] { return tables_; },
             .set_panic = [this](contract::Panic panic) -> Result<Done> {
                 panics_.push_back(panic);
                 return Done{};
             },
             .watch = [this](const contract::WatchOrder& order)
                 -> Result<ContractServer::Callbacks::Watch> {
                 watches_.push_back(order.on);
                 if (!refusal_.empty())
                     return Error{ExitStatus::unavailable, refusal_};
                 return ContractServer::Callbacks::Watch{.number = order.on != 0 ? 7u : 0u,
                                                         .rings = files_[1].get()};
             }});
    }

    std::string path() const { return folder_ + "/dataplane.sock"; }

    std::string refusal_to_listen() {
        const auto server = listen();
        return server ? "none" : server.error().message;
    }

    // Of somebody else, where the server wants to have its own.
    UniqueFd bound_socket(int type) const {
        UniqueFd result(::socket(AF_UNIX, type, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, path().c_str());
        EXPECT_EQ(bind(result.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
        return result;
    }

    std::string folder_;
    UniqueFd files_[3];
    std::vector<std::vector<std::byte>> published_;
    std::string refusal_;
    std::vector<contract::StateRecord> records_;
    std::vector<contract::StateFilter> filters_;
    std::vector<contract::TableDescriptor> tables_;
    std::vector<contract::Panic> panics_;
    std::vector<std::uint64_t> watches_;
    bool with_tables_ = false;
    unsigned slow_steps_ = 0;  // of the next batch, each a tenth of the interval of Working
};

class Client {
  public:
    explicit Client(const std::string& path)
        : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, path.c_str());
        EXPECT_EQ(
            connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }

    template <typename Message>
    Message read() {
        Message message{};
        alignas(cmsghdr) char control[256];
        iovec part{&message, sizeof message};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        length_ = recvmsg(socket_.get(), &header, 0);
        descriptors_.clear();
        if (const cmsghdr* item = length_ > 0 ? CMSG_FIRSTHDR(&header) : nullptr) {
            const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            const int* numbers = reinterpret_cast<const int*>(CMSG_DATA(item));
            for (std::size_t i = 0; i < count; ++i)
                descriptors_.emplace_back(numbers[i]);
        }
        return message;
    }

    void send(const void* message, std::size_t length, int descriptor = -1) {
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        iovec part{const_cast<void*>(message), length};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        if (descriptor >= 0) {
            header.msg_control = control;
            header.msg_controllen = sizeof control;
            cmsghdr* item = CMSG_FIRSTHDR(&header);
            item->cmsg_level = SOL_SOCKET;
            item->cmsg_type = SCM_RIGHTS;
            item->cmsg_len = CMSG_LEN(sizeof(int));
            std::memcpy(CMSG_DATA(item), &descriptor, sizeof descriptor);
        }
        EXPECT_EQ(sendmsg(socket_.get(), &header, 0), static_cast<ssize_t>(length));
    }

    // A sealed image that says `generation`, offered as `offered`.
    void offer(std::uint64_t generation, std::uint64_t offered, std::uint64_t revert_after_ms = 0) {
        contract::SnapshotHeader image;
        image.generation = generation;
        const UniqueFd file(memfd_create("image", MFD_ALLOW_SEALING));
        ASSERT_EQ(write(file.get(), &image, sizeof image), static_cast<ssize_t>(sizeof image));
        ASSERT_EQ(fcntl(file.get(), F_ADD_SEALS,
                        F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK),
                  0);
        contract::Offer message;
        message.header.length = sizeof message;
        message.generation = offered;
        message.size = sizeof image;
        message.revert_after_ms = revert_after_ms;
        send(&message, sizeof message, file.get());
    }

    void watch(std::uint64_t on) {
        contract::WatchOrder order;
        order.on = on;
        order.header.length = sizeof order;
        send(&order, sizeof order);
    }

    void order(contract::OrderKind kind, contract::Panic panic = contract::Panic::off) {
        contract::Order message{.kind = kind, .panic = panic};
        message.header.length = sizeof message;
        send(&message, sizeof message);
    }

    ssize_t length() const { return length_; }
    const std::vector<UniqueFd>& descriptors() const { return descriptors_; }

  private:
    UniqueFd socket_;
    ssize_t length_ = -1;
    std::vector<UniqueFd> descriptors_;
};

TEST_F(ContractServerTest, GreetsWithDescriptorsAndTakesOffers) {
    auto server = listen();
    ASSERT_TRUE(server) << server.error().message;
    struct stat status;
    ASSERT_EQ(stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0660u);
    {
        Client client(path());
        server->on_listener();
        const auto hello = client.read<contract::Hello>();
        EXPECT_EQ(client.length(), static_cast<ssize_t>(sizeof hello));
        EXPECT_EQ(hello.header.type, contract::MessageType::hello);
        EXPECT_EQ(hello.header.length, sizeof hello);
        EXPECT_EQ(hello.boot_id, 77u);
        EXPECT_EQ(hello.generation, 0u);
        EXPECT_EQ(client.descriptors().size(), 4u);
        client.offer(5, 5);
        server->on_client();
        const auto accepted = client.read<contract::Accepted>();
        EXPECT_EQ(accepted.header.type, contract::MessageType::accepted);
        EXPECT_EQ(accepted.generation, 5u);
        EXPECT_EQ(accepted.cost.build_us, 101u);
        EXPECT_EQ(hello.cost, contract::RulesetCost());
        EXPECT_EQ(published_.size(), 1u);
        EXPECT_EQ(server->generation(), 5u);
    }
    // The control plane went; the next one finds what runs.
    server->on_client();
    EXPECT_EQ(server->client(), -1);
    Client next(path());
    server->on_listener();
    const auto hello = next.read<contract::Hello>();
    EXPECT_EQ(hello.generation, 5u);
    EXPECT_EQ(hello.cost.build_us, 101u);
    ASSERT_EQ(next.descriptors().size(), 5u);
    contract::SnapshotHeader image;
    ASSERT_EQ(pread(next.descriptors()[4].get(), &image, sizeof image, 0),
              static_cast<ssize_t>(sizeof image));
    EXPECT_EQ(image.generation, 5u);
}

TEST_F(ContractServerTest, ARefusedOfferChangesNothing) {
    auto server = listen();
    ASSERT_TRUE(server);
    Client client(path());
    server->on_listener();
    client.read<contract::Hello>();
    client.offer(5, 5);
    server->on_client();
    client.read<contract::Accepted>();
    const auto refused = [&](std::uint64_t generation, std::uint64_t offered) {
        client.offer(generation, offered);
        server->on_client();
        const auto rejected = client.read<contract::Rejected>();
        EXPECT_EQ(rejected.header.type, contract::MessageType::rejected);
        EXPECT_EQ(rejected.generation, offered);
        EXPECT_EQ(server->generation(), 5u);
        return std::string(rejected.reason);
    };
    EXPECT_EQ(refused(5, 5), "generation 5 does not follow generation 5, which runs");
    EXPECT_EQ(refused(6, 7), "the snapshot holds generation 6, the offer says 7");
    EXPECT_EQ(refused(std::uint64_t{1} << 63, std::uint64_t{1} << 63),
              "generation 9223372036854775808 is too large: generations are below "
              "9223372036854775808");
    EXPECT_EQ(refused(UINT64_MAX, UINT64_MAX),
              "generation 18446744073709551615 is too large: generations are below "
              "9223372036854775808");
    EXPECT_EQ(published_.size(), 1u);
    refusal_ = "rule 3 is odd";
    EXPECT_EQ(refused(6, 6), "rule 3 is odd");
    refusal_.clear();
    client.offer(6, 6);
    server->on_client();
    EXPECT_EQ(client.read<contract::Accepted>().header.type, contract::MessageType::accepted);
}

TEST_F(ContractServerTest, ListsStatesInAFileThatNobodyCanChange) {
    auto server = listen();
    ASSERT_TRUE(server);
    Client client(path());
    server->on_listener();
    client.read<contract::Hello>();
    contract::StatesRequest request;
    request.header.length = sizeof request;
    request.filter.port = 53;
    request.from = {.worker = 3, .cell = 20};
    for (const std::size_t count : {0u, 3u}) {
        records_.resize(count);
        if (count != 0)
            records_[2].packets = 42;
        client.send(&request, sizeof request);
        server->on_client();
        const auto reply = client.read<contract::StatesReply>();
        EXPECT_EQ(client.length(), static_cast<ssize_t>(sizeof reply));
        EXPECT_EQ(reply.header.type, contract::MessageType::states_reply);
        EXPECT_EQ(reply.header.length, sizeof reply);
        EXPECT_EQ(reply.state_count, 5u);
        EXPECT_EQ(reply.record_count, count);
        EXPECT_EQ(reply.last, count == 0 ? 1u : 0u);
        EXPECT_EQ(reply.next.worker, 3u);
        EXPECT_EQ(reply.next.cell, 30u);
        ASSERT_EQ(client.descriptors().size(), count == 0 ? 0u : 1u);
    }
    const int file = client.descriptors()[0].get();
    EXPECT_EQ(filters_.back().port, 53);
    contract::StateRecord records[4];
    ASSERT_EQ(pread(file, records, sizeof records, 0), static_cast<ssize_t>(sizeof records[0] * 3));
    EXPECT_EQ(records[2].packets, 42u);
    EXPECT_LT(write(file, records, 1), 0);
}

TEST_F(ContractServerTest, KillsStatesOrSaysWhyNot) {
    auto server = listen();
    ASSERT_TRUE(server);
    Client client(path());
    server->on_listener();
    client.read<contract::Hello>();
    contract::KillStates order;
    order.header.length = sizeof order;
    order.filter.rule_number = 100;
    records_.resize(7);
    client.send(&order, sizeof order);
    server->on_client();
    const auto reply = client.read<contract::KillReply>();
    EXPECT_EQ(reply.header.type, contract::MessageType::kill_reply);
    EXPECT_EQ(reply.header.length, sizeof reply);
    EXPECT_EQ(reply.count, 7u);
    EXPECT_EQ(filters_.back().rule_number, 100);
    refusal_ = "worker 1 sleeps";
    client.send(&order, sizeof order);
    server->on_client();
    EXPECT_STREQ(client.read<contract::Rejected>().reason, "worker 1 sleeps");
    order.filter.ip_version = 5;
    client.send(&order, sizeof order);
    server->on_client();
    EXPECT_STREQ(client.read<contract::Rejected>().reason, "a filter of states names IP version 5");
    EXPECT_EQ(filters_.size(), 2u);
}

TEST_F(ContractServerTest, JudgesStatesAnewOrSaysWhyNot) {
    auto server = listen();
    ASSERT_TRUE(server);
    Client client(path());
    server->on_listener();
    client.read<contract::Hello>();
    contract::RecheckStates order;
    order.header.length = sizeof order;
    order.from = {.worker = 1, .cell = 5};
    client.send(&order, sizeof order);
    server->on_client();
    const auto reply = client.read<contract::RecheckReply>();
    EXPECT_EQ(reply.header.type, contract::MessageType::recheck_reply);
    EXPECT_EQ(reply.moved, 3u);
    EXPECT_EQ(reply.next.worker, 1u);
    EXPECT_EQ(reply.next.cell, 15u);
    refusal_ = "worker 1 sleeps";
    client.send(&order, sizeof order);
    server->on_client();
    EXPECT_STREQ(client.read<contract::Rejected>().reason, "worker 1 sleeps");
}

TEST_F(ContractServerTest, NonsenseIsAnsweredInWords) {
    auto server = listen();
    ASSERT_TRUE(server);
    Client client(path());
    server->on_listener();
    client.read<contract::Hello>();
    const std::vector<char> garbage(5000, 'x');
    for (const std::size_t length : {1u, 16u, 32u, 824u, 825u, 5000u}) {
        client.send(garbage.data(), length);
        server->on_client();
        const auto rejected = client.read<contract::Rejected>();
        EXPECT_EQ(rejected.header.type, contract::MessageType::rejected);
        EXPECT_NE(rejected.reason[0], '\0');
    }
    // Descriptors that come with nonsense are closed.
    const auto open_files = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
    };
    const auto before = open_files();
    for (int i = 0; i < 10; ++i) {
        client.send(garbage.data(), 20, STDIN_FILENO);
        server->on_client();
        client.read<contract::Rejected>();
    }
    EXPECT_EQ(open_files(), before);
}

TEST_F(ContractServerTest, OneControlPlaneAtATime) {
    auto server = listen();
    ASSERT_TRUE(server);
    Client first(path());
    server->on_listener();
    first.read<contract::Hello>();
    Client second(path());
    server->on_listener();
    const auto rejected = second.read<contract::Rejected>();
    EXPECT_EQ(rejected.header.type, contract::MessageType::rejected);
    EXPECT_EQ(std::string(rejected.reason),
              "another control plane, process " + std::to_string(getpid()) + ", is connected");
    second.read<contract::Rejected>();
    EXPECT_EQ(second.length(), 0) << "and closed";
    first.offer(1, 1);
    server->on_client();
    EXPECT_EQ(first.read<contract::Accepted>().generation, 1u);
}

TEST_F(ContractServerTest, ASocketThatIsInUseIsNotTaken) {
    auto first = listen();
    ASSERT_TRUE(first);
    const auto second = listen();
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("another sluice-dataplane runs"), std::string::npos);
    // The second one has knocked to see whether somebody is there.
    first->on_listener();
    EXPECT_EQ(first->client(), -1);
    Client client(path());
    first->on_listener();
    EXPECT_EQ(client.read<contract::Hello>().boot_id, 77u);
}

TEST_F(ContractServerTest, ALeftOverSocketIsReplaced) {
    bound_socket(SOCK_SEQPACKET);
    const auto server = listen();
    EXPECT_TRUE(server) << server.error().message;
}

TEST_F(ContractServerTest, WhatIsNoSocketIsNotRemoved) {
    const std::string sentence =
        path() + " exists and is no socket; remove it, or set another socket in the settings";
    std::ofstream(path()) << "precious";
    EXPECT_EQ(refusal_to_listen(), sentence);
    EXPECT_EQ(std::filesystem::file_size(path()), 8u);
    std::filesystem::remove(path());
    std::filesystem::create_symlink("nowhere", path());
    EXPECT_EQ(refusal_to_listen(), sentence);
    EXPECT_TRUE(std::filesystem::is_symlink(path()));
    std::filesystem::remove(path());
    std::filesystem::create_directory(path());
    EXPECT_EQ(refusal_to_listen(), sentence);
}

TEST_F(ContractServerTest, ASocketOfAnotherProgramIsNotRemoved) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
        const UniqueFd other = bound_socket(type);
        // Only a stream listens; a datagram socket is in use as soon as it is bound.
        EXPECT_EQ(::listen(other.get(), 1) == 0, type == SOCK_STREAM);
        EXPECT_EQ(refusal_to_listen(),
                  "the contract socket " + path() +
                      " is in use by another program; set another socket in the settings");
        EXPECT_TRUE(std::filesystem::is_socket(path()));
        std::filesystem::remove(path());
    }
}

TEST_F(ContractServerTest, OnlyItsOwnSocketGoesWithTheServer) {
    ASSERT_TRUE(listen());
    EXPECT_FALSE(std::filesystem::exists(path()));
    UniqueFd successor;
    {
        const auto server = listen();
        ASSERT_TRUE(server);
        // Kept under another name, so that its inode number is not given to the successor.
        std::filesystem::rename(path(), path() + ".old");
        successor = bound_socket(SOCK_SEQPACKET);
    }
    EXPECT_TRUE(std::filesystem::is_socket(path()));
}

TEST_F(ContractServerTest, AFolderThatIsNotThereIsASentence) {
    folder_ += "/not/there";
    const auto server = listen();
    ASSERT_FALSE(server);
    EXPECT_NE(server.error().message.find("No such file or directory"), std::string::npos);
    EXPECT_EQ(server.error().status, ExitStatus::os);
}

TEST_F(ContractServerTest, SaysThatItWorksOnALargeBatch) {
    auto server = listen();
    ASSERT_TRUE(server);
    Client client(path());
    server->on_listener();
    client.read<contract::Hello>();
    const std::vector<std::byte> batch(64);
    const UniqueFd file(memfd_create("batch", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(write(file.get(), batch.data(), batch.size()), 64);
    ASSERT_EQ(
        fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
        0);
    slow_steps_ = 25;
    contract::TablesRequest request;
    request.header.length = sizeof request;
    request.size = batch.size();
    client.send(&request, sizeof request, file.get());
    server->on_client();
    for (int i = 0; i < 2; ++i) {
        const auto working = client.read<contract::Working>();
        EXPECT_EQ(working.header.type, contract::MessageType::working);
        EXPECT_EQ(working.header.length, sizeof working);
    }
    EXPECT_EQ(client.read<contract::TablesReply>().header.type,
              contract::MessageType::tables_reply);
}

class ContractServerSafetyTest : public ContractServerTest {
  protected:
    void connect() {
        server_.emplace(std::move(*listen()));
        greet();
    }
    contract::Hello greet() {
        client_ = std::make_unique<Client>(path());
        server_->on_listener();
        return client_->read<contract::Hello>();
    }
    // The control plane dies.
    void hang_up() {
        client_.reset();
        server_->on_client();
        ASSERT_EQ(server_->client(), -1);
    }
    contract::MessageType offer(std::uint64_t generation, std::uint64_t revert_after_ms = 0) {
        client_->offer(generation, generation, revert_after_ms);
        server_->on_client();
        return client_->read<contract::Accepted>().header.type;
    }
    std::string refusal_of_offer(std::uint64_t generation, std::uint64_t revert_after_ms = 0) {
        client_->offer(generation, generation, revert_after_ms);
        server_->on_client();
        return client_->read<contract::Rejected>().reason;
    }
    // The number of the watch; none: it is refused.
    std::optional<std::uint64_t> watch(std::uint64_t on) {
        client_->watch(on);
        server_->on_client();
        const auto answer = client_->read<contract::WatchReply>();
        return answer.header.type == contract::MessageType::watch_reply
                   ? std::optional(answer.watch)
                   : std::nullopt;
    }
    std::string order(contract::OrderKind kind, contract::Panic panic = contract::Panic::off) {
        client_->order(kind, panic);
        server_->on_client();
        const auto answer = client_->read<contract::Rejected>();
        return answer.header.type == contract::MessageType::order_done ? "" : answer.reason;
    }
    std::uint64_t generation_of_last_published() const {
        contract::SnapshotHeader header;
        std::memcpy(&header, published_.back().data(), sizeof header);
        return header.generation;
    }

    std::optional<ContractServer> server_;
    std::unique_ptr<Client> client_;
};

TEST_F(ContractServerSafetyTest, GoesBackByItsOwnClockAndTells) {
    connect();
    EXPECT_EQ(refusal_of_offer(5, 50), "there is no ruleset yet to go back to");
    ASSERT_EQ(offer(5), contract::MessageType::accepted);
    ASSERT_EQ(offer(6, 50), contract::MessageType::accepted);
    server_->tend();
    EXPECT_EQ(server_->generation(), 6u);
    EXPECT_EQ(refusal_of_offer(7),
              "generation 6 waits for its confirmation: confirm it or give it back first");
    usleep(60'000);
    server_->tend();
    EXPECT_EQ(server_->generation(), 5u);
    EXPECT_EQ(generation_of_last_published(), 5u);
    const auto returned = client_->read<contract::Returned>();
    EXPECT_EQ(returned.header.type, contract::MessageType::returned);
    EXPECT_EQ(returned.generation, 5u);
    EXPECT_EQ(returned.from, 6u);
    EXPECT_EQ(client_->descriptors().size(), 1u);
    EXPECT_EQ(order(contract::OrderKind::confirm),
              "nothing waits to be confirmed: generation 6 has gone back already");
    // No number is given twice.
    EXPECT_EQ(refusal_of_offer(6), "generation 6 does not follow generation 6, which ran before");
    EXPECT_EQ(offer(7), contract::MessageType::accepted);
}

TEST_F(ContractServerSafetyTest, GoesBackWithoutAControlPlaneAndTellsTheNextOne) {
    connect();
    offer(5);
    offer(6, 100);
    hang_up();
    EXPECT_GT(greet().confirm_ms, 0u);
    hang_up();
    refusal_ = "worker 0 sleeps";
    usleep(110'000);
    server_->tend();
    EXPECT_EQ(server_->generation(), 6u) << "what cannot be published does not run";
    refusal_.clear();
    server_->tend();
    const contract::Hello hello = greet();
    EXPECT_EQ(hello.generation, 5u);
    EXPECT_EQ(hello.returned_from, 6u);
    EXPECT_EQ(hello.highest_generation, 6u);
    EXPECT_EQ(hello.confirm_ms, 0u);
}

TEST_F(ContractServerSafetyTest, ConfirmAndGiveBackEndTheWait) {
    connect();
    offer(5);
    EXPECT_EQ(order(contract::OrderKind::confirm), "nothing waits to be confirmed");
    offer(6, 10);
    EXPECT_EQ(order(contract::OrderKind::confirm), "");
    usleep(20'000);
    server_->tend();
    EXPECT_EQ(server_->generation(), 6u);
    offer(7, 60'000);
    client_->order(contract::OrderKind::give_back);
    server_->on_client();
    EXPECT_EQ(client_->read<contract::Returned>().generation, 6u);
    EXPECT_EQ(client_->read<contract::OrderDone>().generation, 6u);
    EXPECT_EQ(server_->generation(), 6u);
}

TEST_F(ContractServerSafetyTest, TheLockIsOneWay) {
    connect();
    offer(5);
    offer(6, 60'000);
    EXPECT_NE(order(contract::OrderKind::lock), "") << "what waits could not be confirmed any more";
    EXPECT_EQ(order(contract::OrderKind::confirm), "");
    EXPECT_EQ(order(contract::OrderKind::lock), "");
    for (int restart = 0; restart < 2; ++restart) {
        EXPECT_NE(refusal_of_offer(7).find("locked"), std::string::npos);
        EXPECT_NE(order(contract::OrderKind::panic, contract::Panic::pass).find("locked"),
                  std::string::npos);
        hang_up();
        EXPECT_EQ(greet().locked, 1u);
    }
    EXPECT_EQ(published_.size(), 2u);
    EXPECT_EQ(order(contract::OrderKind::panic, contract::Panic::deny), "");
    EXPECT_EQ(order(contract::OrderKind::panic), "");
    EXPECT_EQ(panics_, (std::vector{contract::Panic::deny, contract::Panic::off}));
}

TEST_F(ContractServerSafetyTest, PanicOutlivesTheControlPlane) {
    connect();
    EXPECT_EQ(order(contract::OrderKind::panic, contract::Panic::pass), "");
    hang_up();
    EXPECT_EQ(greet().panic, contract::Panic::pass);
}

// Nobody would take away what the workers copy.
TEST_F(ContractServerSafetyTest, AWatchEndsWithTheControlPlane) {
    using Orders = std::vector<std::uint64_t>;
    connect();
    EXPECT_EQ(watch(1), 7u);
    server_->tend();
    EXPECT_EQ(watches_, (Orders{1}));
    hang_up();
    server_->tend();
    server_->tend();
    EXPECT_EQ(watches_, (Orders{1, 0}));
    // So does one whose successor is there before anybody has looked.
    greet();
    EXPECT_EQ(watch(1), 7u);
    hang_up();
    greet();
    EXPECT_EQ(watches_, (Orders{1, 0, 1, 0}));
    EXPECT_EQ(watch(1), 7u);
    EXPECT_EQ(watch(0), 0u);
    refusal_ = "a worker does not move";
    EXPECT_EQ(watch(1), std::nullopt);
    hang_up();
    server_->tend();
    EXPECT_EQ(watches_, (Orders{1, 0, 1, 0, 1, 0, 1}));
}

}  // namespace
}  // namespace sluice::dataplane
