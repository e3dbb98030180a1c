/* The kernel's TUN/TAP interface, with what the headers of Debian 12 (Linux 6.1) do not name yet.
 */
#ifndef AIRLOCK_LIB_TUN_H
#define AIRLOCK_LIB_TUN_H

#include <linux/if_tun.h>

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#endif
