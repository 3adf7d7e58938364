// One meaning, one form.
//
// ipfw keeps no difference between `from any to any dst-port 53` and `from any to any 53`: options
// that say what the body could have said move into the body, in the order typed and as long as
// nothing stands before them. parse_rule calls this; whoever builds rules in another way and wants
// to print them and read them back does so too.
//
//   * `src-port L` becomes the ports of the source if that has none and the destination is a plain
//     `any` without ports;
//   * `dst-port L` becomes the ports of the destination if that has none;
//   * `src-ip X` becomes the source if source and destination are `any` and there are no ports;
//   * `dst-ip X` becomes the destination if that is `any` without ports;
//   * `unreach host` is `reject`;
//   * a rule of which nothing is left but the action is `ip from any to any`.
//
// Rules without `from … to …`, and those whose body is a plain `ip from any to any`, keep their
// options: so does ipfw, for which the two are one.
#pragma once

#include "controlplane/language/model.h"

namespace sluice::language {

void canonicalise(Rule& rule);

}  // namespace sluice::language
