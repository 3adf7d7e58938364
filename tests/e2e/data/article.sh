# The start-up script of a personal web server with remote login, in the manner of a Mac of 2004,
# with everything logged. Run as `sh article.sh`; /sbin/ipfw must be ours.

IPFW='/sbin/ipfw -q'

$IPFW -f flush

$IPFW add 2000 allow ip from any to any via lo*

$IPFW add 2010 deny log ip from 127.0.0.0/8 to any in
$IPFW add 2020 deny log ip from any to 127.0.0.0/8 in
$IPFW add 2030 deny log ip from 224.0.0.0/3 to any in
$IPFW add 2040 deny log tcp from any to 224.0.0.0/3 in

$IPFW add 2050 allow log tcp from any to any out
$IPFW add 2060 allow log tcp from any to any established

$IPFW add 2070 allow log tcp from any to any 22 in
$IPFW add 2080 allow log tcp from any to any 80 in
$IPFW add 2090 allow log tcp from any to any 427 in

$IPFW add 12190 deny log tcp from any to any
