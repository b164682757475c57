//! What happens to the devices of a till: the line's noise, and what people do to printers.

use firmware_sim::printer::Input as FirmwareInput;
use terminal_agent::machine::printer;

use super::event::Event;
use super::fault::Fault;
use super::world::World;

/// What somebody does to a printer, and what ends it.
const ACCIDENTS: [(FirmwareInput<'static>, FirmwareInput<'static>); 4] = [
    (FirmwareInput::PaperOut, FirmwareInput::PaperIn),
    (FirmwareInput::CoverOpen, FirmwareInput::CoverClose),
    (FirmwareInput::CutterJam, FirmwareInput::CutterClear),
    (FirmwareInput::HeadHot, FirmwareInput::HeadCool),
];

impl World {
    /// A fault of the printer strikes now, or while something is printed.
    pub(super) fn printer_trouble(&mut self, number: usize, fault: Fault) -> bool {
        if self.tills[number].printer.firmware.is_none() {
            return false;
        }
        if self.random.chance(60) {
            self.tills[number].printer.is_in_danger = Some(fault);
            return true;
        }
        self.printer_accident(number, fault);
        true
    }

    /// A print begins: what waits for one strikes soon.
    pub(super) fn endanger_print(&mut self, number: usize) {
        if let Some(fault) = self.tills[number].printer.is_in_danger.take() {
            let at_ms = self.now_ms + self.random.below(1_500);
            let event = Event::PrinterAccident {
                till: number,
                fault,
            };
            self.queue.push(at_ms, event);
        }
    }

    /// Something happens to the printer.
    pub(super) fn printer_accident(&mut self, number: usize, fault: Fault) {
        self.note(|| format!("till {number}: {}", fault.word()));
        match fault {
            Fault::PrinterPower => self.printer_firmware(number, FirmwareInput::PowerCycle),
            Fault::PrinterUnplugged => self.unplug_printer(number),
            _ => {
                let which = self.random.index(ACCIDENTS.len());
                self.printer_firmware(number, ACCIDENTS[which].0);
                let pause_ms = self.random.between(200, 40_000);
                let event = Event::PrinterHelped {
                    till: number,
                    which,
                };
                self.queue.push(self.now_ms + pause_ms, event);
            }
        }
    }

    /// Somebody looks after the printer.
    pub(super) fn printer_helped(&mut self, number: usize, which: usize) {
        self.printer_firmware(number, ACCIDENTS[which].1);
    }

    fn unplug_printer(&mut self, number: usize) {
        let printer = &mut self.tills[number].printer;
        if !std::mem::take(&mut printer.is_plugged) {
            return;
        }
        printer.plug += 1;
        let plug = printer.plug;
        self.tell_printer(number, printer::Input::PortClosed);
        let at_ms = self.now_ms + self.random.between(300, 20_000);
        self.queue
            .push(at_ms, Event::PrinterPlugs { till: number, plug });
    }

    /// The printer is plugged in again.
    pub(super) fn plug_printer_in(&mut self, number: usize, plug: u64) {
        let printer = &mut self.tills[number].printer;
        if printer.is_plugged || printer.plug != plug {
            return;
        }
        printer.is_plugged = true;
        printer.plug += 1;
        self.tell_printer(number, printer::Input::PortOpened);
    }

    /// Everything about the printer is in order from now on.
    pub(super) fn heal_printer(&mut self, number: usize) {
        if self.tills[number].printer.firmware.is_none() {
            return;
        }
        self.tills[number].printer.is_in_danger = None;
        for (_, end) in ACCIDENTS {
            self.printer_firmware(number, end);
        }
        let plug = self.tills[number].printer.plug;
        self.plug_printer_in(number, plug);
    }

    /// What a line with noise makes of bytes: pieces, each with the time that it is late.
    pub(super) fn noise(&mut self, mut bytes: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
        let is_noisy =
            !bytes.is_empty() && self.plan.strikes(Fault::LineNoise, 4, &mut self.random);
        if !is_noisy {
            return vec![(0, bytes)];
        }
        let at = self.random.index(bytes.len());
        let late_ms = self.random.between(1, 3_000);
        match self.random.below(6) {
            0 => {
                bytes[at] ^= 1 << self.random.below(8);
                vec![(0, bytes)]
            }
            1 => {
                bytes.truncate(at);
                vec![(0, bytes)]
            }
            2 => {
                bytes.remove(at);
                vec![(0, bytes)]
            }
            3 => vec![(0, bytes.clone()), (late_ms, bytes)],
            4 => {
                let rest = bytes.split_off(at);
                vec![(0, bytes), (late_ms, rest)]
            }
            _ => vec![(late_ms, bytes)],
        }
    }
}
