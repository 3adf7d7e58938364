#include "controlplane/service/request_kind.h"

#include <gtest/gtest.h>

namespace sluice::service {
namespace {

using metrics::RequestKind;

template <typename... What>
Request request_of(What... what) {
    Request request;
    (request.operations.push_back({.what = what}), ...);
    return request;
}

std::string_view name_of(const Request& request) {
    return metrics::kRequestNames[static_cast<std::size_t>(kind_of(request))];
}

TEST(RequestKindTest, IsThatOfTheOnlyOperation) {
    EXPECT_EQ(name_of(request_of(AddOperation{"1 count ip from any to any"})), "add");
    EXPECT_EQ(name_of(request_of(language::DeleteCommand{})), "delete");
    EXPECT_EQ(name_of(request_of(language::FlushCommand{})), "flush");
    EXPECT_EQ(name_of(request_of(language::ZeroCommand{})), "zero");
    EXPECT_EQ(name_of(request_of(language::SetSwapCommand{})), "set");
    EXPECT_EQ(name_of(request_of(ShowCostOperation{})), "list");
    EXPECT_EQ(name_of(request_of(ReadSysctlOperation{})), "sysctl");
    EXPECT_EQ(name_of(request_of(StateOperation{})), "state");
    EXPECT_EQ(name_of(request_of(TableOperation{})), "table");
    EXPECT_EQ(name_of(request_of(language::FlushCommand{}, AddOperation{})), "script");
    EXPECT_EQ(name_of(request_of()), "script");
    EXPECT_EQ(name_of(request_of(HistoryOperation{})), "history");
    EXPECT_EQ(name_of(request_of(RollbackOperation{})), "script");
}

TEST(RequestKindTest, ARequestIsCountedWhenItIsAnswered) {
    metrics::Tally tally;
    Response seen;
    const auto reply = counted(
        request_of(language::DeleteCommand{}), [&](const Response& response) { seen = response; },
        tally);
    const auto kind = static_cast<std::size_t>(RequestKind::remove);
    EXPECT_EQ(tally.requests(kind, 69), 0u);
    Response response;
    response.generation = 5;
    response.results.resize(2);
    response.results[1].status = ExitStatus::unavailable;
    reply(response);
    EXPECT_EQ(seen.generation, 5u);
    EXPECT_EQ(tally.requests(kind, 69), 1u);
    EXPECT_EQ(tally.requests(kind, 0), 0u);
    response.status = ExitStatus::data;
    reply(response);
    EXPECT_EQ(tally.requests(kind, 65), 1u);
}

}  // namespace
}  // namespace sluice::service
