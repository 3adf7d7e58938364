#include "controlplane/service/roles.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/unique_fd.h"

namespace sluice::service {
namespace {

template <typename What>
Operation operation_of(What what) {
    return {.what = what};
}

StateOperation of_states(StateOperation::Kind kind) {
    StateOperation operation;
    operation.kind = kind;
    return operation;
}

config::Control named(std::vector<std::string> read, std::vector<std::string> operate,
                      std::vector<std::string> admin) {
    config::Control settings;
    settings.read = std::move(read);
    settings.operate = std::move(operate);
    settings.admin = std::move(admin);
    return settings;
}

TEST(RolesTest, AnApplyWithoutRulesNeedsAnAdministrator) {
    Request request;
    EXPECT_EQ(needed_for(request), Role::read);
    request.apply.emplace();
    EXPECT_EQ(needed_for(request), Role::admin);
}

TEST(RolesTest, WhatAnOperationNeeds) {
    using language::TableCommand;
    EXPECT_EQ(needed_for(operation_of(ListOperation{})), Role::read);
    EXPECT_EQ(needed_for(operation_of(ShowSetsOperation{})), Role::read);
    EXPECT_EQ(needed_for(operation_of(ShowCostOperation{})), Role::read);
    EXPECT_EQ(needed_for(operation_of(ReadSysctlOperation{})), Role::read);
    EXPECT_EQ(needed_for(operation_of(FollowOperation{})), Role::read);
    for (const auto kind : {FollowOperation::Kind::packets, FollowOperation::Kind::traces})
        EXPECT_EQ(needed_for(operation_of(FollowOperation{.kind = kind})), Role::operate);
    EXPECT_EQ(needed_for(operation_of(StatusOperation{})), Role::read);
    EXPECT_EQ(needed_for(operation_of(of_states(StateOperation::Kind::count))), Role::read);
    EXPECT_EQ(needed_for(operation_of(TableOperation{})), Role::read);  // list
    using Kind = HistoryOperation::Kind;
    for (const Kind kind : {Kind::list, Kind::show, Kind::running})
        EXPECT_EQ(needed_for(operation_of(HistoryOperation{.kind = kind})), Role::read);
    EXPECT_EQ(needed_for(operation_of(HistoryOperation{.kind = Kind::save})), Role::admin);
    EXPECT_EQ(needed_for(operation_of(RollbackOperation{1})), Role::admin);

    EXPECT_EQ(needed_for(operation_of(language::ZeroCommand{})), Role::operate);
    EXPECT_EQ(needed_for(operation_of(of_states(StateOperation::Kind::kill))), Role::operate);
    TableOperation add;
    add.command.verb = TableCommand::Verb::add;
    EXPECT_EQ(needed_for(operation_of(add)), Role::operate);
    EXPECT_EQ(needed_for(operation_of(PatternOperation{})), Role::read);  // list
    PatternOperation load;
    load.command.verb = language::PatternCommand::Verb::load;
    EXPECT_EQ(needed_for(operation_of(load)), Role::operate);

    EXPECT_EQ(needed_for(operation_of(AddOperation{})), Role::admin);
    EXPECT_EQ(needed_for(operation_of(SafetyOperation{})), Role::admin);
    EXPECT_EQ(needed_for(operation_of(TraceOperation{})), Role::read);
    EXPECT_EQ(needed_for(operation_of(language::DeleteCommand{})), Role::admin);
    EXPECT_EQ(needed_for(operation_of(language::FlushCommand{})), Role::admin);
    EXPECT_EQ(needed_for(operation_of(language::SetEnableCommand{})), Role::admin);
    EXPECT_EQ(needed_for(operation_of(language::SetMoveCommand{})), Role::admin);
    EXPECT_EQ(needed_for(operation_of(language::SetSwapCommand{})), Role::admin);
    EXPECT_EQ(needed_for(operation_of(WriteSysctlOperation{})), Role::admin);
}

TEST(RolesTest, ARequestNeedsWhatItsWorstOperationNeeds) {
    Request request;
    EXPECT_EQ(needed_for(request), Role::read);
    request.operations.push_back(operation_of(ListOperation{}));
    request.operations.push_back(operation_of(language::FlushCommand{}));
    request.operations.push_back(operation_of(language::ZeroCommand{}));
    EXPECT_EQ(needed_for(request), Role::admin);
}

TEST(RolesTest, NamesThatNobodyHasAreSaid) {
    const auto user = Roles::resolve(named({"no-such-user-here"}, {}, {}));
    ASSERT_FALSE(user);
    EXPECT_EQ(user.error().status, ExitStatus::data);
    EXPECT_EQ(user.error().message,
              "there is no user no-such-user-here; create it, or take it out of read in [control] "
              "of sluice.toml");
    const auto group = Roles::resolve(named({}, {}, {"@no-such-group-here"}));
    ASSERT_FALSE(group);
    EXPECT_EQ(group.error().message,
              "there is no group no-such-group-here; create it, or take it out of admin in "
              "[control] of sluice.toml");
    EXPECT_FALSE(Roles::resolve({})->names_anybody());
    EXPECT_TRUE(Roles::resolve(named({"root"}, {}, {}))->names_anybody());
}

// The role of a process with these credentials; needs root, to become it.
Role role_as(const Roles& roles, uid_t user, gid_t group, gid_t socket_group) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        // The credentials of a pair are those of who made it: one that is someone else then.
        int pair[2];
        if (setgroups(0, nullptr) != 0 || setresgid(group, group, group) != 0 ||
            setresuid(user, 0, 0) != 0 || seteuid(user) != 0 ||
            socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || seteuid(0) != 0)
            _exit(1);
        const auto role = static_cast<char>(roles.peer(pair[0], socket_group).role);
        _exit(write(ends[1], &role, 1) == 1 ? 0 : 1);
    }
    close(ends[1]);
    char role = 9;
    EXPECT_EQ(read(ends[0], &role, 1), 1);
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return static_cast<Role>(role);
}

TEST(RolesTest, TheKernelSaysWhoItIs) {
    if (geteuid() != 0)
        GTEST_SKIP() << "only root can become somebody else";
    const passwd* daemon = getpwnam("daemon");
    ASSERT_NE(daemon, nullptr);
    const group* mail = getgrnam("mail");
    ASSERT_NE(mail, nullptr);
    const uid_t user = daemon->pw_uid;
    const gid_t other = 65534, group = mail->gr_gid, nobodys = 4242;
    EXPECT_EQ(role_as({}, 0, 0, nobodys), Role::admin);
    EXPECT_EQ(role_as({}, user, other, nobodys), Role::none);
    EXPECT_EQ(role_as({}, user, nobodys, nobodys), Role::admin);
    const Roles roles = *Roles::resolve(named({"daemon"}, {"@mail"}, {}));
    EXPECT_EQ(role_as(roles, user, other, nobodys), Role::read);
    EXPECT_EQ(role_as(roles, 65534, group, nobodys), Role::operate);
    EXPECT_EQ(role_as(roles, user, group, nobodys), Role::operate);
    EXPECT_EQ(role_as(roles, 65534, other, nobodys), Role::none);
}

}  // namespace
}  // namespace sluice::service
