"""The bed of a gateway: two hosts in networks of their own.

    host A                        appliance                       host B
    eth0 ---- veth pair ---- wire0 (port em0, twin em0)  wire1 (port em1, twin em1) ---- eth0
    192.0.2.1                192.0.2.2                   198.51.100.2          198.51.100.3

The kernel of the middle namespace has the twins, with the appliance's addresses, and does not
forward itself.
"""

from .appliance import gateway_of
from .network import Bed, Host

ALLOW = "add 65000 allow ip from any to any\n"


class RoutedBed(Bed):
    A4, A6 = "192.0.2.", "fd7a:803f:cc4b:a::"
    B4, B6 = "198.51.100.", "fd7a:803f:cc4b:b::"

    def __init__(self, mtu=1500, mtu_b=None):
        self.mtu_b = mtu_b or mtu
        super().__init__(mtu)

    def _make(self, suffix):
        self.a = self._add(Host(f"sluice-a-{suffix}", "02:00:00:00:00:0a", self.A4 + "1",
                                self.A6 + "1"))
        self.b = self._add(Host(f"sluice-b-{suffix}", "02:00:00:00:00:0b", self.B4 + "3",
                                self.B6 + "3"))
        self.middle = self._add_middle(suffix)
        self._connect(self.a, "wire0")
        self._connect(self.b, "wire1", self.mtu_b)
        for host, network4, network6 in ((self.a, self.A4, self.A6), (self.b, self.B4, self.B6)):
            host.ip("route", "add", "default", "via", network4 + "2")
            if host is self.a or self.mtu_b >= 1280:
                host.ip("-6", "route", "add", "default", "via", network6 + "2")

    @property
    def router_a4(self):
        return self.A4 + "2"

    @property
    def router_b4(self):
        return self.B4 + "2"

    @property
    def router_a6(self):
        return self.A6 + "2"

    @property
    def router_b6(self):
        return self.B6 + "2"

    def ports(self):
        """Settings of the appliance."""
        # Below the least MTU of IPv6 the kernel has no IPv6 there.
        v6 = [self.router_b6 + "/64"] if self.mtu_b >= 1280 else []
        ports = gateway_of({
            "em0": ("wire0", [self.router_a4 + "/24", self.router_a6 + "/64"]),
            "em1": ("wire1", [self.router_b4 + "/24", *v6]),
        })
        ports[1].mtu = self.mtu_b
        return ports
