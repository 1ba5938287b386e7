// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * An init that only ends the machine: what the guest agent's start is measured
 * against. Where the machine cannot power off, resetting it ends QEMU as well.
 */
#include <sys/reboot.h>

int main(void)
{
	reboot(RB_AUTOBOOT);
	reboot(RB_POWER_OFF);
	return 1;
}
