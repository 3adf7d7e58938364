#include "controlplane/service/dataplane_link.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "controlplane/service/table_mirror.h"
#include "tests/unit/service/fake_dataplane.h"
#include "tests/unit/service/waiting.h"

namespace sluice::service {
namespace {

using std::chrono::milliseconds;

using contract::StatesWanted;

constexpr std::size_t kMost = 1'000'000;

class DataplaneLinkTest : public testing::Test {
  protected:
    DataplaneLinkTest() : loop_(std::move(*EventLoop::create())) {
        char name[] = "/tmp/sluice-link-XXXXXX";
        folder_ = mkdtemp(name);
        path_ = folder_ + "/dp.sock";
        link_ = std::make_unique<DataplaneLink>(
            *loop_, path_,
            DataplaneLink::Callbacks{
                .up = [this](DataplaneGreeting g) { greeting_ = std::move(g); },
                .down = [this](const std::string& reason, bool) { reasons_.push_back(reason); },
                .answered =
                    [this](Result<contract::Accepted> answer) {
                        answers_.push_back(answer ? std::to_string(answer->generation)
                                                  : answer.error().message);
                    },
                .states =
                    [this](Result<StatesAnswer> answer) {
                        answers_.push_back(answer ? std::to_string(answer->records.size()) +
                                                        " records of " +
                                                        std::to_string(answer->count) + " states"
                                                  : answer.error().message);
                        if (answer && !answer->records.empty())
                            last_ = answer->records.back();
                    },
                .killed =
                    [this](Result<std::uint64_t> answer) {
                        answers_.push_back(answer ? std::to_string(*answer) + " killed"
                                                  : answer.error().message);
                    },
                .rechecked =
                    [this](Result<contract::RecheckReply> answer) {
                        answers_.push_back(answer ? std::to_string(answer->kept) + " kept, " +
                                                        std::to_string(answer->moved) + " moved, " +
                                                        std::to_string(answer->killed) + " killed"
                                                  : answer.error().message);
                    },
                .tables =
                    [this](Result<TableReply> answer) {
                        answers_.push_back(
                            answer ? std::to_string(answer->answer().results.size()) + " results"
                                   : answer.error().message);
                    }});
    }
    ~DataplaneLinkTest() override {
        link_.reset();
        unlink(path_.c_str());
        rmdir(folder_.c_str());
    }

    template <typename Condition>
    bool wait(Condition condition) {
        return wait_for(*loop_, condition);
    }

    // A peer that sends these bytes to whoever connects, and nothing else.
    UniqueFd listener(std::string bytes) {
        UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
        EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(fd.get(), 4), 0);
        const int number = fd.get();
        loop_->watch(number, EPOLLIN, [this, number, bytes](std::uint32_t) {
            peer_ = UniqueFd(accept4(number, nullptr, nullptr, SOCK_CLOEXEC));
            EXPECT_EQ(send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                      static_cast<ssize_t>(bytes.size()));
        });
        return fd;
    }

    template <typename Message>
    static std::string bytes_of(Message message) {
        message.header.length = sizeof message;
        return std::string(reinterpret_cast<const char*>(&message), sizeof message);
    }

    std::unique_ptr<EventLoop> loop_;
    std::string folder_, path_;
    std::unique_ptr<DataplaneLink> link_;
    UniqueFd peer_;
    DataplaneGreeting greeting_;
    std::vector<std::string> reasons_, answers_;
    contract::StateRecord last_;
};

TEST_F(DataplaneLinkTest, WaitsForADataPlaneAndComplainsOnce) {
    link_->start();
    wait([&, end = EventLoop::Clock::now() + milliseconds(500)] {
        return EventLoop::Clock::now() > end;
    });
    EXPECT_EQ(reasons_, std::vector<std::string>{"sluice-dataplane is not running"});
    const FakeDataplane dataplane(*loop_, path_);
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    EXPECT_EQ(greeting_.interface_names, (std::vector<std::string>{"em0", "em1"}));
    EXPECT_EQ(greeting_.memory.log_rings().size(), 2u);
    EXPECT_EQ(greeting_.memory.annotations().size(), 1024u);
}

TEST_F(DataplaneLinkTest, RefusesAnotherVersionInWords) {
    contract::Hello hello;
    hello.header.version = 99;
    const UniqueFd fd = listener(bytes_of(hello));
    link_->start();
    ASSERT_TRUE(wait([&] { return !reasons_.empty(); }));
    EXPECT_NE(reasons_[0].find("version 99"), std::string::npos) << reasons_[0];
    EXPECT_FALSE(link_->up());
    loop_->forget(fd.get());
}

TEST_F(DataplaneLinkTest, PassesOnWhyItIsNotWanted) {
    contract::Rejected rejected;
    rejected.header.type = contract::MessageType::rejected;
    std::strcpy(rejected.reason, "there is another control plane");
    const UniqueFd fd = listener(bytes_of(rejected));
    link_->start();
    ASSERT_TRUE(wait([&] { return !reasons_.empty(); }));
    EXPECT_NE(reasons_[0].find("there is another control plane"), std::string::npos);
    loop_->forget(fd.get());
}

TEST_F(DataplaneLinkTest, GreetingsThatMakeNoSenseAreRefused) {
    contract::Hello no_descriptors;
    no_descriptors.worker_count = 1;
    no_descriptors.slot_capacity = 64;
    contract::Offer wrong_way;
    for (const std::string& bytes :
         {bytes_of(no_descriptors), bytes_of(wrong_way), std::string("x"),
          bytes_of(no_descriptors).substr(0, 100), std::string(5000, '\0')}) {
        reasons_.clear();
        unlink(path_.c_str());
        const UniqueFd fd = listener(bytes);
        link_->start();
        ASSERT_TRUE(wait([&] { return !reasons_.empty(); }));
        EXPECT_FALSE(link_->up());
        loop_->forget(fd.get());
        peer_.reset();
    }
}

TEST_F(DataplaneLinkTest, SharedMemoryThatIsTooSmallIsRefused) {
    FakeDataplane small(*loop_, path_);
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    contract::Hello hello = greeting_.hello;
    const UniqueFd tiny(memfd_create("tiny", MFD_CLOEXEC));
    EXPECT_FALSE(SharedMemory::map(hello, tiny.get(), tiny.get(), tiny.get()));
    ASSERT_EQ(ftruncate(tiny.get(), 1 << 20), 0);
    EXPECT_FALSE(SharedMemory::map(hello, tiny.get(), tiny.get(), tiny.get()));
}

TEST_F(DataplaneLinkTest, ARefusalKeepsTheConnection) {
    FakeDataplane dataplane(*loop_, path_);
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    const std::vector<std::byte> nonsense(128);
    ASSERT_TRUE(link_->offer(nonsense, 1));
    ASSERT_TRUE(wait([&] { return !answers_.empty(); }));
    EXPECT_NE(answers_[0], "1");
    EXPECT_TRUE(link_->up());
}

TEST_F(DataplaneLinkTest, NoAnswerEndsTheConnection) {
    FakeDataplane dataplane(*loop_, path_);
    dataplane.behaviour.silent = true;
    link_->set_answer_timeout(milliseconds(50));
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    ASSERT_TRUE(link_->offer(std::vector<std::byte>(128), 1));
    ASSERT_TRUE(wait([&] { return !reasons_.empty(); }));
    EXPECT_EQ(reasons_[0], "sluice-dataplane does not answer");
    EXPECT_TRUE(wait([&] { return link_->up(); }));  // and it is tried again
    EXPECT_TRUE(answers_.empty());
}

// A batch of a million entries takes longer than an answer may, on a busy machine.
TEST_F(DataplaneLinkTest, WhoSaysThatItWorksIsWaitedFor) {
    FakeDataplane dataplane(*loop_, path_);
    dataplane.behaviour.working = 30;
    link_->set_answer_timeout(milliseconds(400));
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    const auto batch = batch_bytes({}, {}, {});
    ASSERT_TRUE(link_->change_tables(batch, 0, contract::TablesMode::stop));
    ASSERT_TRUE(wait([&] { return !answers_.empty(); }));
    EXPECT_EQ(answers_[0], "0 results");
    EXPECT_TRUE(reasons_.empty());
    EXPECT_TRUE(link_->up());
}

TEST_F(DataplaneLinkTest, AsksForStatesAndKillsThem) {
    FakeDataplane dataplane(*loop_, path_);
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    ASSERT_TRUE(link_->request_states({}, StatesWanted::records, kMost));
    ASSERT_TRUE(wait([&] { return answers_.size() == 1; }));
    EXPECT_EQ(answers_.back(), "0 records of 0 states");
    dataplane.states.resize(3);
    dataplane.states[1].rule_number = 7;
    dataplane.states[1].packets = 77;
    contract::StateFilter filter;
    filter.rule_number = 7;
    filter.minimum_age_s = 5;
    ASSERT_TRUE(link_->request_states(filter, StatesWanted::records, kMost));
    ASSERT_TRUE(wait([&] { return answers_.size() == 2; }));
    EXPECT_EQ(answers_.back(), "1 records of 1 states");
    EXPECT_EQ(last_.packets, 77u);
    EXPECT_EQ(dataplane.filter().minimum_age_s, 5u);
    ASSERT_TRUE(link_->kill_states(filter));
    ASSERT_TRUE(wait([&] { return answers_.size() == 3; }));
    EXPECT_EQ(answers_.back(), "1 killed");
    EXPECT_EQ(dataplane.states.size(), 2u);
    EXPECT_TRUE(reasons_.empty());
}

TEST_F(DataplaneLinkTest, ARequestForStatesMayBeRefused) {
    FakeDataplane dataplane(*loop_, path_);
    dataplane.behaviour.refuse_states_with = "too busy";
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    ASSERT_TRUE(link_->request_states({}, StatesWanted::records, kMost));
    ASSERT_TRUE(wait([&] { return answers_.size() == 1; }));
    ASSERT_TRUE(link_->kill_states({}));
    ASSERT_TRUE(wait([&] { return answers_.size() == 2; }));
    EXPECT_EQ(answers_, (std::vector<std::string>{"too busy", "too busy"}));
    EXPECT_TRUE(link_->up());
}

TEST_F(DataplaneLinkTest, StatesThatAreNotWhereTheyShouldBeEndTheConnection) {
    FakeDataplane dataplane(*loop_, path_);
    dataplane.behaviour.short_states = true;
    dataplane.states.resize(2);
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    ASSERT_TRUE(link_->request_states({}, StatesWanted::records, kMost));
    ASSERT_TRUE(wait([&] { return !reasons_.empty(); }));
    EXPECT_NE(reasons_.back().find("states has 88 bytes, expected 176"), std::string::npos)
        << reasons_.back();
    EXPECT_TRUE(answers_.empty());
}

TEST_F(DataplaneLinkTest, StatesComeInPieces) {
    FakeDataplane dataplane(*loop_, path_);
    dataplane.states.resize(1050);
    dataplane.states.back().packets = 77;
    dataplane.states[5].kind = contract::StateKind::parent;
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    ASSERT_TRUE(link_->request_states({}, StatesWanted::records, 1050));
    ASSERT_TRUE(wait([&] { return answers_.size() == 1; }));
    EXPECT_EQ(answers_.back(), "1050 records of 1049 states");
    EXPECT_EQ(last_.packets, 77u);
    EXPECT_EQ(dataplane.state_requests(), 11u);
    // Only their number.
    ASSERT_TRUE(link_->request_states({}, StatesWanted::count, 0));
    ASSERT_TRUE(wait([&] { return answers_.size() == 2; }));
    EXPECT_EQ(answers_.back(), "0 records of 1049 states");
    // No more than somebody can use.
    ASSERT_TRUE(link_->request_states({}, StatesWanted::records, 250));
    ASSERT_TRUE(wait([&] { return answers_.size() == 3; }));
    EXPECT_EQ(answers_.back(), "300 records of 299 states");
    EXPECT_EQ(dataplane.state_requests(), 25u);
    EXPECT_TRUE(reasons_.empty());
    // A data plane that does not come to an end.
    dataplane.behaviour.stuck_states = true;
    ASSERT_TRUE(link_->request_states({}, StatesWanted::records, kMost));
    ASSERT_TRUE(wait([&] { return !reasons_.empty(); }));
    EXPECT_EQ(reasons_.back(), "sluice-dataplane tells the same states again and again");
    EXPECT_EQ(answers_.size(), 3u);
}

TEST_F(DataplaneLinkTest, StatesAreJudgedAnewInPiecesAndSummedUp) {
    FakeDataplane dataplane(*loop_, path_);
    dataplane.behaviour.judged.kept = 1;
    dataplane.behaviour.judged.moved = 20;
    dataplane.behaviour.judged.killed = 300;
    dataplane.behaviour.judged_pieces = 3;
    link_->start();
    ASSERT_TRUE(wait([&] { return link_->up(); }));
    ASSERT_TRUE(link_->recheck_states());
    ASSERT_TRUE(wait([&] { return answers_.size() == 1; }));
    EXPECT_EQ(answers_.back(), "3 kept, 60 moved, 900 killed");
    dataplane.behaviour.refuse_states_with = "too busy";
    ASSERT_TRUE(link_->recheck_states());
    ASSERT_TRUE(wait([&] { return answers_.size() == 2; }));
    EXPECT_EQ(answers_.back(), "too busy");
    dataplane.behaviour.refuse_states_with.clear();
    dataplane.behaviour.stuck_states = true;
    ASSERT_TRUE(link_->recheck_states());
    ASSERT_TRUE(wait([&] { return !reasons_.empty(); }));
    EXPECT_EQ(reasons_.back(), "sluice-dataplane judges the same states again and again");
}

}  // namespace
}  // namespace sluice::service
