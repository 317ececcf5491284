import { BlockList, isIP } from 'node:net';

/** IPv4 that is no public unicast: https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast. */
const SPECIAL_IPV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // shared by the customers of a provider
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local, and with it the metadata services of clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
];

/** Global unicast, the only part of IPv6 that is let through: loopback, mapped IPv4, NAT64, unique local, link-local and multicast lie outside. */
const GLOBAL_IPV6 = '2000::/3';
/** What is special inside it: https://www.iana.org/assignments/iana-ipv6-special-registry. */
const SPECIAL_IPV6 = [
  '2001::/23', // protocol assignments: Teredo, which holds an IPv4 address, and others
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which holds an IPv4 address
  '3fff::/20', // documentation
];

function blockList(subnets: readonly string[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network, prefix] = subnet.split('/');
    list.addSubnet(network, Number(prefix), family);
  }
  return list;
}

let lists: { readonly special4: BlockList; readonly special6: BlockList; readonly global6: BlockList } | undefined;

/** Whether an IP address, written as DNS gives it or as it stands in a URL's host without brackets, is public unicast. */
export function isPublicAddress(address: string): boolean {
  lists ??= {
    special4: blockList(SPECIAL_IPV4, 'ipv4'),
    special6: blockList(SPECIAL_IPV6, 'ipv6'),
    global6: blockList([GLOBAL_IPV6], 'ipv6'),
  };
  if (address.includes('%')) return false; // a zone: link-local
  const family = isIP(address);
  if (family === 4) return !lists.special4.check(address, 'ipv4');
  return family === 6 && lists.global6.check(address, 'ipv6') && !lists.special6.check(address, 'ipv6');
}
