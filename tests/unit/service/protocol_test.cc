#include "controlplane/service/protocol.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice::service {
namespace {

StateFilter example_filter() {
    return {.address = *parse_ipv6("2001:db8::"),
            .prefix_length = 33,
            .protocol = 0,
            .port = 65535,
            .rules = language::RuleRange{100, 200},
            .name = "web",
            .minimum_age_s = 0xffffffff};
}

Request example_request() {
    Request request{.whole = true, .operations = {}};
    const auto put = [&](auto what) {
        request.operations.push_back(
            {.line = static_cast<std::uint32_t>(request.operations.size() + 1),
             .forgive = request.operations.size() % 2 == 0,
             .what = what});
    };
    put(AddOperation{"100 set 2 allow ip from any to any // \"quoted\" \\ text"});
    put(AddOperation{"100 deny ip from any to any\n\n200 count ip from any to any"});
    put(language::DeleteCommand{.rules = {{1, 2}, {65535, 65535}}, .sets = {}, .in_set = 31});
    put(language::DeleteCommand{.rules = {}, .sets = {0, 31}, .in_set = {}});
    put(language::FlushCommand{});
    put(language::FlushCommand{.in_set = 5});
    put(language::ZeroCommand{.rules = {1, 65535}, .in_set = 7, .log_only = false});
    put(language::ZeroCommand{.rules = {}, .in_set = {}, .log_only = true});
    put(ListOperation{.rules = {{100, 200}}, .in_set = 3});
    put(ListOperation{
        .rules = {}, .in_set = {}, .states = ListedStates::expired_too, .without_rules = true});
    put(ListOperation{.rules = {}, .in_set = {}, .with_since = true});
    put(ShowSetsOperation{});
    put(language::SetEnableCommand{.enable = 1, .disable = 1u << 30});
    put(language::SetMoveCommand{.by_rule = true, .what = 65535, .to = 31});
    put(language::SetMoveCommand{.by_rule = false, .what = 31, .to = 0});
    put(language::SetSwapCommand{.first = 0, .second = 31});
    put(StateOperation{.kind = StateOperation::Kind::kill, .filter = {}});
    put(StateOperation{.kind = StateOperation::Kind::kill, .filter = example_filter()});
    put(ReadSysctlOperation{{"a", "b"}});
    put(WriteSysctlOperation{"net.inet.ip.fw.verbose", "1"});
    PatternOperation create, add;
    create.command.verb = language::PatternCommand::Verb::create;
    create.command.object = "web";
    create.command.type = language::PatternType::names;
    create.command.mode = language::PatternMode::stream;
    create.command.direction = language::PatternDirection::in;
    create.command.depth = 1;
    create.command.ignore_case = create.command.missing = create.command.or_flush = true;
    put(create);
    add.command.verb = language::PatternCommand::Verb::add;
    add.command.object = "web";
    add.command.entries = {{"\"a \\\" b\"", 0}, {"re:/a # b/", {}}, {"c", 0xffffffff}};
    add.lines = {1, 2, 3};
    add.quiet = true;
    put(add);
    PatternOperation load, swap;
    load.command.verb = language::PatternCommand::Verb::load;
    load.command.object = "web";
    load.command.file = "/etc/web";
    load.command.content = "7\ta b\n";
    put(load);
    swap.command.verb = language::PatternCommand::Verb::swap;
    swap.command.object = "web";
    swap.command.other = "other";
    put(swap);
    return request;
}

TEST(Protocol, PatternsThatMakeNoSenseAreRefused) {
    const auto decoded = [](const std::string& fields) {
        return bool(decode_request("{\"version\":" + std::to_string(kProtocolVersion) +
                                   ",\"operations\":[{\"do\":\"pattern\"," + fields + "}]}"));
    };
    EXPECT_TRUE(decoded(R"("verb":5,"object":"web")"));
    for (const char* fields :
         {R"("verb":11,"object":"web")", R"("verb":5,"object":"")", R"("verb":5,"object":"a b")",
          R"("verb":5)", R"("verb":2,"object":"web")", R"("verb":8,"object":"web")",
          R"("verb":2,"object":"web","entries":["a"])",
          R"("verb":2,"object":"web","entries":[1,2])",
          R"("verb":2,"object":"web","entries":["a",4294967296])",
          R"("verb":2,"object":"web","entries":["a",null],"lines":[1,2])",
          R"("verb":0,"object":"web","type":2)", R"("verb":0,"object":"web","depth":0)",
          R"("verb":0,"object":"web","mode":2)", R"("verb":0,"object":"web","direction":3)"})
        EXPECT_FALSE(decoded(fields)) << fields;
}

TEST(Protocol, RequestsComeBackEqual) {
    const Request request = example_request();
    const auto again = decode_request(encode(request));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, request);
}

TEST(Protocol, QuestionsForStatesComeBackEqual) {
    for (const auto kind : {StateOperation::Kind::list, StateOperation::Kind::count}) {
        Request request;
        request.operations.push_back(
            {.line = 0, .forgive = false, .what = StateOperation{kind, example_filter()}});
        const auto again = decode_request(encode(request));
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(*again, request);
        // The answer is picked by the data plane for this one question.
        request.operations.push_back({.line = 0, .forgive = false, .what = ListOperation{}});
        EXPECT_FALSE(decode_request(encode(request)));
    }
}

contract::RulesetCost example_cost() {
    contract::RulesetCost cost;
    cost.bytes = std::uint64_t{1} << 40;
    cost.build_us = 12345;
    cost.rules = 100001;
    std::strcpy(cost.instructions, "avx512");
    cost.v4 = {
        .bytes = 1, .boxes = 2, .trees = 3, .worst_nodes = 4, .worst_blocks = 5, .cut_short = 1};
    cost.v6.boxes = 6;
    cost.other.bytes = 7;
    return cost;
}

TEST(Protocol, TheQuestionForCostAndItsAnswerComeBackEqual) {
    Request request{.whole = false, .brief = true, .operations = {}};
    request.operations.push_back({.line = 0, .forgive = false, .what = ShowCostOperation{}});
    const auto again = decode_request(encode(request));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, request);
    request.operations.push_back({.line = 0, .forgive = false, .what = ListOperation{}});
    EXPECT_FALSE(decode_request(encode(request)));

    Response response;
    response.results.emplace_back().cost = example_cost();
    const auto answer = decode_response(encode(response));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer, response);
}

TEST(Protocol, ACostThatLacksAFamilyIsRefused) {
    Response response;
    response.results.emplace_back().cost = example_cost();
    std::string text = encode(response);
    text.replace(text.find("\"v6\""), 4, "\"v7\"");
    EXPECT_FALSE(decode_response(text));
}

TEST(Protocol, AnswersComeBackEqual) {
    Response response;
    response.status = ExitStatus::unavailable;
    response.message = "rule 5 not found";
    response.line = 12;
    response.generation = 0xffffffffffffffff;
    response.data_plane = true;
    OperationResult result;
    result.status = ExitStatus::data;
    result.lines = {"Flushed all rules."};
    result.complaints = {"rule 5 not found"};
    result.rules = {{.number = 65535,
                     .set = 31,
                     .text = "deny ip from any to any",
                     .packets = 0xffffffffffffffff,
                     .bytes = 1,
                     .last_match_s = 2}};
    result.sysctls = {{"x", 0xffffffff, 0}, {"y", 1, std::nullopt}};
    result.rules.push_back(result.rules.front());
    result.rules.back().disabled = true;
    result.states = {{.number = 100,
                      .kind = contract::StateKind::parent,
                      .protocol = 17,
                      .packets = 0xffffffffffffffff,
                      .bytes = 1,
                      .expires_s = 2,
                      .age_s = 3,
                      .children = 4,
                      .source = *parse_ipv4("10.0.0.1"),
                      .destination = *parse_ipv6("2001:db8::1"),
                      .source_port = 5,
                      .destination_port = 6,
                      .name = "web",
                      .answered = true}};
    result.pattern_objects = {
        {.name = "web",
         .settings = "type bytes",
         .references = 1,
         .items = 2,
         .database_bytes = 3,
         .patterns = {{"\"a\"", 7, std::nullopt}, {"re:/b/", 0, 0xffffffffffffffff}},
         .running =
             RunningPatterns{
                 .database_bytes = 1, .scratch_bytes = 2, .stream_bytes = 3, .streams = 4}},
        {.name = "empty",
         .settings = {},
         .references = 0,
         .items = 0,
         .database_bytes = 0,
         .patterns = {},
         .running = {}}};
    result.state_count = 7;
    result.disabled_sets = 8;
    response.results = {result, {}};
    const auto again = decode_response(encode(response));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, response);
}

TEST(Protocol, BytesThatAreNoUtf8DoNotThrow) {
    Request request;
    request.operations.push_back(
        {.line = 0, .forgive = false, .what = AddOperation{"\xff\xfe\x80"}});
    EXPECT_TRUE(decode_request(encode(request)));
}

TEST(Protocol, RefusesWhatIsNoRequest) {
    const std::string deep = R"({"version":5,"operations":)" + std::string(100000, '[');
    const char* bad[] = {
        "",
        "{",
        "[]",
        "null",
        "17",
        "\"text\"",
        R"({})",
        R"({"version":"5"})",
        R"({"version":5})",
        R"({"version":5,"operations":[]})",
        R"({"version":5,"operations":{}})",
        R"({"version":5,"operations":[7]})",
        R"({"version":5,"operations":[{}]})",
        R"({"version":5,"operations":[{"do":"dance"}]})",
        R"({"version":5,"operations":[{"do":7}]})",
        R"({"version":5,"operations":[{"do":"add","bytes":"7"}]})",
        R"({"version":5,"operations":[{"do":"add","bytes":7}]})",
        R"({"version":5,"operations":[{"do":"delete","rules":[[1]]}]})",
        R"({"version":5,"operations":[{"do":"delete","rules":[[2,1]]}]})",
        R"({"version":5,"operations":[{"do":"delete","rules":[[1,65536]]}]})",
        R"({"version":5,"operations":[{"do":"delete","rules":[[-1,5]]}]})",
        R"({"version":5,"operations":[{"do":"delete","sets":[32]}]})",
        R"({"version":5,"operations":[{"do":"flush","in_set":99}]})",
        R"({"version":5,"operations":[{"do":"zero","numbers":[1.5]}]})",
        R"({"version":5,"operations":[{"do":"flush","line":-1}]})",
        R"({"version":5,"operations":[{"do":"flush","forgive":"yes"}]})",
        R"({"version":5,"operations":[{"do":"list","states":3}]})",
        R"({"version":5,"operations":[{"do":"switch sets","enable":1,"disable":1}]})",
        R"({"version":5,"operations":[{"do":"kill states","address":"x"}]})",
        R"({"version":5,"operations":[{"do":"kill states","address":"1.2.3.4","prefix_length":33}]})",
        R"({"version":5,"operations":[{"do":"kill states","rules":[[1,2],[3,4]]}]})",
        R"({"version":5,"operations":[{"do":"kill states","protocol":256}]})",
        R"({"version":5,"whole":1,"operations":[{"do":"flush"}]})",
        deep.c_str(),
    };
    for (const char* text : bad) {
        const auto request = decode_request(text);
        ASSERT_FALSE(request) << text;
        EXPECT_NE(request.error().status, ExitStatus::ok);
        EXPECT_FALSE(request.error().message.empty());
    }
}

TEST(Protocol, AnApplyMayBeEmptyButNotAPart) {
    Request request{.whole = true, .operations = {}, .apply = ApplyOrder{}};
    for (const auto states :
         {KeptStates::of_rules, KeptStates::all, KeptStates::none, KeptStates::judged_anew}) {
        request.apply = ApplyOrder{.if_generation = 42, .confirm_s = 60, .states = states};
        const auto back = decode_request(encode(request));
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(*back, request);
    }
    request.whole = false;
    EXPECT_FALSE(decode_request(encode(request)));
    EXPECT_FALSE(decode_request(R"({"version":5,"whole":true,"apply":{"confirm":86401}})"));
    EXPECT_FALSE(decode_request(R"({"version":5,"whole":true,"apply":{"states":4}})"));
    EXPECT_FALSE(decode_request(R"({"version":5,"whole":true,"apply":7})"));
}

TEST(Protocol, WhatBecameOfStatesIsTold) {
    Response response;
    response.applied = ApplyReport{.generation_before = 7,
                                   .difference = {},
                                   .states = JudgedStates{.kept = 1, .moved = 2, .killed = 3}};
    const auto back = decode_response(encode(response));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->applied, response.applied);
    response.applied->states.reset();
    EXPECT_EQ(decode_response(encode(response))->applied, response.applied);
}

TEST(Protocol, AnOrderToTheDataPlaneStandsAlone) {
    Request request;
    request.operations.push_back({.what = SafetyOperation{SafetyOperation::Order::panic_pass}});
    const auto back = decode_request(encode(request));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, request);
    EXPECT_TRUE(changes_something(request.operations.front()));
    request.operations.push_back(request.operations.front());
    EXPECT_FALSE(decode_request(encode(request)));
    EXPECT_FALSE(decode_request(R"({"version":5,"operations":[{"do":"safety","order":6}]})"));
}

TEST(Protocol, WhoFollowsSomethingAsksForNothingElse) {
    FollowOperation follow{.form = FollowOperation::Form::json,
                           .filter = {.ip_version = 6,
                                      .prefix_length = 33,
                                      .protocol = 0,
                                      .has_protocol = 1,
                                      .port = 53,
                                      .rule_number = 65535,
                                      .way = contract::WantedWay::out,
                                      .fate = contract::Fate::deny,
                                      .address = *parse_ipv6("2001:db8::")}};
    for (int i = 0; i < 2; ++i) {
        Request request;
        request.operations.push_back({.what = follow});
        const auto back = decode_request(encode(request));
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(*back, request);
        EXPECT_FALSE(changes_something(request.operations.front()));
        request.operations.push_back({.what = StatusOperation{}});
        EXPECT_FALSE(decode_request(encode(request)));
        follow = {};
    }
    for (const char* wrong :
         {R"("kind":9)", R"("snap_length":0)", R"("snap_length":1921)", R"("form":2)", R"("way":3)",
          R"("fate":3)", R"("port":65536)", R"("address":"1.2.3.4","prefix_length":33)",
          R"("address":"x")", R"("protocol":256)"})
        EXPECT_FALSE(decode_request(R"({"version":5,"operations":[{"do":"follow",)" +
                                    std::string(wrong) + "}]}"))
            << wrong;
}

TEST(Protocol, APieceOfAStream) {
    const StreamPiece piece{
        .lines = {"one", "t\"wo\n"},
        .packets = {{.time_ns = 1, .generation = 2, .rule = -1, .length = 3, .bytes = {"a\0b", 3}},
                    {.rule = 65535,
                     .out = true,
                     .receive_interface = "em0",
                     .transmit_interface = "em1",
                     .verdict = "pass",
                     .bytes = ""},
                    {.bytes = {"\0\xff", 2}}},
        .lost = 0xffffffffffffffff,
        .over = "the end"};
    const auto back = decode_piece(encode(piece));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, piece);
    EXPECT_TRUE(decode_piece(encode(StreamPiece{.lines = {"\xff"}})));
    EXPECT_FALSE(decode_piece(R"({"version":5,"lines":[1]})"));
    EXPECT_FALSE(decode_piece(R"({"version":4,"lines":[]})"));
    EXPECT_FALSE(decode_piece("x"));
    const std::string packet = R"({"version":5,"packets":[[1,1,1,1,0,"em0","","pass",2]]})";
    const auto behind = [&](std::string_view bytes) {
        return decode_piece(packet + std::string(1, '\0') + std::string(bytes));
    };
    EXPECT_TRUE(behind("ab"));
    EXPECT_FALSE(behind("a"));
    EXPECT_FALSE(behind("abc"));
    EXPECT_FALSE(decode_piece(packet));
}

TEST(Protocol, AResponseTellsWhatWasAppliedAndWhatHoldsBesideTheRules) {
    Response response;
    response.generation = 43;
    response.applied = ApplyReport{.generation_before = 42,
                                   .difference = {.added = 3, .removed = 1, .changed = 2}};
    response.condition = {.panic = contract::Panic::deny, .locked = true, .confirm_ms = 5000};
    const auto back = decode_response(encode(response));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, response);
    EXPECT_FALSE(decode_response(R"({"version":5,"condition":{"panic":3}})"));
}

TEST(Protocol, RulesStandBehindTheRequestAndNoneIsLeft) {
    const std::string request = R"({"version":5,"operations":[{"do":"add","bytes":3}]})";
    const auto behind = [&](std::string_view rules) {
        return decode_request(request + std::string(1, '\0') + std::string(rules));
    };
    ASSERT_TRUE(behind("abc"));
    EXPECT_EQ(std::get<AddOperation>(behind("abc")->operations.front().what).rules, "abc");
    EXPECT_FALSE(behind("ab"));
    EXPECT_FALSE(behind("abcd"));
    EXPECT_FALSE(behind(""));
    EXPECT_FALSE(decode_request(request));
}

TEST(Protocol, AnotherVersionIsRefusedInWords) {
    const auto request = decode_request(R"({"version":99,"operations":[{"do":"flush"}]})");
    ASSERT_FALSE(request);
    EXPECT_EQ(request.error().status, ExitStatus::unavailable);
    EXPECT_NE(request.error().message.find("same release"), std::string::npos);
}

TEST(Protocol, BracketsInTextAreNoDepth) {
    Request request;
    request.operations.push_back(
        {.line = 0, .forgive = false, .what = AddOperation{std::string(1000, '[') + "\\\"["}});
    EXPECT_TRUE(decode_request(encode(request)));
}

TEST(Frames, ArriveInPieces) {
    const std::string bytes = framed("hello") + framed("you");
    FrameReader reader;
    std::vector<std::string> got;
    for (const char c : bytes) {
        reader.append(std::string_view(&c, 1));
        const auto message = reader.next();
        ASSERT_TRUE(message);
        if (*message)
            got.push_back(**message);
    }
    EXPECT_EQ(got, (std::vector<std::string>{"hello", "you"}));
    EXPECT_TRUE(reader.empty());
}

TEST(Frames, SenselessLengthsAreErrors) {
    FrameReader zero;
    zero.append(std::string(4, '\0'));
    EXPECT_FALSE(zero.next());
    FrameReader huge;
    huge.append("\xff\xff\xff\xff");
    EXPECT_FALSE(huge.next());
}

TEST(Protocol, WhatIsAskedOfTheHistoryComesBackEqual) {
    using Kind = HistoryOperation::Kind;
    for (const Kind kind : {Kind::list, Kind::show, Kind::running, Kind::save}) {
        Request request;
        request.operations.push_back(
            {.what = HistoryOperation{.kind = kind, .number = UINT64_MAX}});
        const auto back = decode_request(encode(request));
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(*back, request);
        EXPECT_FALSE(changes_something(request.operations.front()));
        request.operations.push_back(request.operations.front());
        EXPECT_FALSE(decode_request(encode(request)));
    }
    EXPECT_FALSE(decode_request(R"({"version":5,"operations":[{"do":"history","kind":4}]})"));
    Request rollback{.whole = true, .operations = {}, .apply = ApplyOrder{}};
    rollback.source = "/etc/rules";
    rollback.operations.push_back({.what = RollbackOperation{7}});
    const auto back = decode_request(encode(rollback));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, rollback);
    EXPECT_TRUE(changes_something(rollback.operations.front()));
    rollback.apply.reset();
    EXPECT_FALSE(decode_request(encode(rollback)));
    rollback.apply = ApplyOrder{};
    rollback.source = std::string(kLongestSourceTaken + 1, 'x');
    EXPECT_FALSE(decode_request(encode(rollback)));

    Response response;
    response.results.resize(1);
    response.results[0].history = {{.number = 3,
                                    .generation = 4,
                                    .time_s = 5,
                                    .written_s = 6,
                                    .uid = 7,
                                    .user = "alice",
                                    .did = "add \"1\"",
                                    .difference = {1, 2, 3},
                                    .restores = 2},
                                   {}};
    const auto answer = decode_response(encode(response));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer, response);
}

}  // namespace
}  // namespace sluice::service
