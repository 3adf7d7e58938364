#include "controlplane/service/request_kind.h"

#include <utility>

namespace sluice::service {
namespace {

using metrics::RequestKind;

struct KindOf {
    RequestKind operator()(const AddOperation&) const { return RequestKind::add; }
    RequestKind operator()(const language::DeleteCommand&) const { return RequestKind::remove; }
    RequestKind operator()(const language::FlushCommand&) const { return RequestKind::flush; }
    RequestKind operator()(const language::ZeroCommand&) const { return RequestKind::zero; }
    RequestKind operator()(const language::SetEnableCommand&) const { return RequestKind::set; }
    RequestKind operator()(const language::SetMoveCommand&) const { return RequestKind::set; }
    RequestKind operator()(const language::SetSwapCommand&) const { return RequestKind::set; }
    RequestKind operator()(const ListOperation&) const { return RequestKind::list; }
    RequestKind operator()(const ShowSetsOperation&) const { return RequestKind::list; }
    RequestKind operator()(const ShowCostOperation&) const { return RequestKind::list; }
    RequestKind operator()(const TraceOperation&) const { return RequestKind::list; }
    RequestKind operator()(const FollowOperation&) const { return RequestKind::follow; }
    RequestKind operator()(const StatusOperation&) const { return RequestKind::list; }
    RequestKind operator()(const ReadSysctlOperation&) const { return RequestKind::sysctl; }
    RequestKind operator()(const WriteSysctlOperation&) const { return RequestKind::sysctl; }
    RequestKind operator()(const StateOperation&) const { return RequestKind::state; }
    RequestKind operator()(const SafetyOperation&) const { return RequestKind::safety; }
    RequestKind operator()(const HistoryOperation&) const { return RequestKind::history; }
    RequestKind operator()(const RollbackOperation&) const { return RequestKind::script; }
    RequestKind operator()(const TableOperation&) const { return RequestKind::table; }
    RequestKind operator()(const PatternOperation&) const { return RequestKind::pattern; }
};

}  // namespace

RequestKind kind_of(const Request& request) {
    if (request.apply)
        return RequestKind::script;
    return request.operations.size() == 1 ? std::visit(KindOf(), request.operations.front().what)
                                          : RequestKind::script;
}

ExitStatus status_of(const Response& response) {
    if (response.status != ExitStatus::ok)
        return response.status;
    for (const OperationResult& result : response.results)
        if (result.status != ExitStatus::ok)
            return result.status;
    return ExitStatus::ok;
}

ControlServer::Reply counted(const Request& request, ControlServer::Reply reply,
                             metrics::Tally& tally) {
    return [kind = kind_of(request), reply = std::move(reply), &tally](const Response& response) {
        tally.request(kind, status_of(response));
        reply(response);
    };
}

}  // namespace sluice::service
