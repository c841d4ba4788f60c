//! Which addresses are public: a table of what the registries of special-purpose addresses and the clouds reserve.
//!
//! The standard library's helpers are unstable or too generous (they pass NAT64, 6to4, Teredo and the metadata services
//! that live on public-looking addresses), so the table is written out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere on the internet.
    Public,
    /// This machine or the operator's own network; open with `--allow-private`.
    Private,
    /// Metadata services, multicast, tunnels that hide another address, reserved space: nothing a destination could
    /// mean. Open only for an operator who names the network.
    Never,
}

/// Where an address leads.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        // A mapped address is dialled as the IPv4 address inside it, so that one is judged.
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| reach_v6(v6), reach_v4),
    }
}

/// Network, prefix length and where it leads. The first row that holds decides; whatever no row holds is public.
const IPV4: &[([u8; 4], u32, Reach)] = &[
    ([100, 100, 100, 200], 32, Reach::Never), // Alibaba metadata, inside the carrier range
    ([168, 63, 129, 16], 32, Reach::Never),   // Azure wire server, a public address
    ([0, 0, 0, 0], 8, Reach::Never),          // "this network"; 0.0.0.0 dials loopback
    ([10, 0, 0, 0], 8, Reach::Private),
    ([100, 64, 0, 0], 10, Reach::Private), // carrier-grade NAT
    ([127, 0, 0, 0], 8, Reach::Private),
    ([169, 254, 0, 0], 16, Reach::Never), // link-local: the metadata services of most clouds
    ([172, 16, 0, 0], 12, Reach::Private),
    ([192, 0, 0, 0], 24, Reach::Never), // IETF protocol assignments; Oracle metadata at 192.0.0.192
    ([192, 0, 2, 0], 24, Reach::Never), // documentation
    ([192, 88, 99, 0], 24, Reach::Never), // 6to4 relay
    ([192, 168, 0, 0], 16, Reach::Private),
    ([198, 18, 0, 0], 15, Reach::Private), // benchmarking; some container networks and proxies live here
    ([198, 51, 100, 0], 24, Reach::Never), // documentation
    ([203, 0, 113, 0], 24, Reach::Never),  // documentation
    ([224, 0, 0, 0], 4, Reach::Never),     // multicast
    ([240, 0, 0, 0], 4, Reach::Never),     // reserved, and broadcast
];

/// The same for IPv6, where whatever no row holds is refused: only `2000::/3` has been given out.
const IPV6: &[([u16; 8], u32, Reach)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Reach::Private),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, Reach::Never), // AWS metadata
    ([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, Reach::Never),  // Google metadata
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Reach::Private),         // unique local
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Reach::Never),          // Teredo, ORCHID, benchmarking
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Reach::Never),      // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Reach::Never),          // 6to4 hides an IPv4 address
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Reach::Never),          // documentation
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Reach::Public),
];

fn reach_v4(address: Ipv4Addr) -> Reach {
    let holds = |(network, prefix, _): &&([u8; 4], u32, Reach)| {
        (address.to_bits() ^ u32::from_be_bytes(*network)).leading_zeros() >= *prefix
    };
    IPV4.iter().find(holds).map_or(Reach::Public, |(.., reach)| *reach)
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let holds = |(network, prefix, _): &&([u16; 8], u32, Reach)| {
        (address.to_bits() ^ Ipv6Addr::from(*network).to_bits()).leading_zeros() >= *prefix
    };
    IPV6.iter().find(holds).map_or(Reach::Never, |(.., reach)| *reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expect: Reach, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(reach(address.parse().unwrap()), expect, "{address}");
        }
    }

    #[test]
    fn public_addresses_are_public() {
        check(Reach::Public, &["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"]);
        check(Reach::Public, &["126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255"]);
        check(Reach::Public, &["172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255"]);
        check(Reach::Public, &["198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17"]);
        check(Reach::Public, &["2606:4700:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2003::1", "3ffe::1"]);
        check(Reach::Public, &["::ffff:1.1.1.1"]);
    }

    #[test]
    fn an_operators_own_networks_are_private() {
        check(Reach::Private, &["10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1"]);
        check(Reach::Private, &["127.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"]);
        check(Reach::Private, &["198.18.0.0", "198.19.255.255", "::1", "fc00::1", "fdff::1", "::ffff:127.0.0.1"]);
        check(Reach::Private, &["::ffff:10.0.0.1", "::ffff:c0a8:1"]);
    }

    #[test]
    fn metadata_tunnels_and_reserved_space_are_never_meant() {
        check(Reach::Never, &["0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "100.100.100.200"]);
        check(Reach::Never, &["168.63.129.16", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.51.100.1"]);
        check(Reach::Never, &["203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"]);
        check(Reach::Never, &["::", "::127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1"]);
        check(Reach::Never, &["64:ff9b::7f00:1", "64:ff9b:1::a00:1", "100::1", "5f00::1", "fe80::1", "fec0::1"]);
        check(Reach::Never, &["ff02::1", "2001::1", "2001:0:7f00:1::", "2001:20::1", "2001:1ff::1", "2001:db8::1"]);
        check(Reach::Never, &["2002:7f00:1::", "3fff::1", "3fff:fff::1", "fd00:ec2::254", "fd20:ce::254", "4000::1"]);
        check(Reach::Never, &["1fff::1", "::2", "::ffff:100.100.100.200"]);
    }
}
