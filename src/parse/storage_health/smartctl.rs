//! `smartctl -j -a`. Its exit status is a set of bits: two say that there is nothing to read, five say
//! how the disk is.

use serde_json::Value;

use super::read::{Disk, Field, number, plain};
use crate::parse::sink::Sink;

macro_rules! nvme {
    ($name:literal) => {
        concat!("/nvme_smart_health_information_log/", $name)
    };
}

const TEMPERATURE: &str = "storage_temperature_celsius";

const FIELDS: [Field; 18] = [
    Field { metric: "storage_health_passed", pointers: &["/smart_status/passed"], scale: 1.0 },
    Field { metric: TEMPERATURE, pointers: &["/temperature/current"], scale: 1.0 },
    Field { metric: "storage_power_on_seconds", pointers: &["/power_on_time/hours"], scale: 3600.0 },
    Field { metric: "storage_power_cycles", pointers: &["/power_cycle_count"], scale: 1.0 },
    Field { metric: "storage_critical_warning", pointers: &[nvme!("critical_warning")], scale: 1.0 },
    Field { metric: "storage_media_errors", pointers: &[nvme!("media_errors")], scale: 1.0 },
    Field {
        metric: "storage_logged_errors",
        pointers: &[nvme!("num_err_log_entries"), "/ata_smart_error_log/summary/count"],
        scale: 1.0,
    },
    Field { metric: "storage_unsafe_shutdowns", pointers: &[nvme!("unsafe_shutdowns")], scale: 1.0 },
    Field {
        metric: "storage_used_ratio",
        pointers: &[
            nvme!("percentage_used"),
            "/scsi_percentage_used_endurance_indicator",
            "/endurance_used/current_percent",
        ],
        scale: 0.01,
    },
    Field {
        metric: "storage_spare_ratio",
        pointers: &[nvme!("available_spare"), "/spare_available/current_percent"],
        scale: 0.01,
    },
    Field {
        metric: "storage_spare_threshold_ratio",
        pointers: &[nvme!("available_spare_threshold")],
        scale: 0.01,
    },
    Field {
        metric: "storage_temperature_warning_seconds",
        pointers: &[nvme!("warning_temp_time")],
        scale: 60.0,
    },
    Field {
        metric: "storage_temperature_critical_seconds",
        pointers: &[nvme!("critical_comp_time")],
        scale: 60.0,
    },
    Field { metric: "storage_reallocated_sectors", pointers: &["/scsi_grown_defect_list"], scale: 1.0 },
    Field { metric: "storage_pending_sectors", pointers: &["/scsi_pending_defects/count"], scale: 1.0 },
    Field {
        metric: "storage_read_uncorrected_errors",
        pointers: &["/scsi_error_counter_log/read/total_uncorrected_errors"],
        scale: 1.0,
    },
    Field {
        metric: "storage_write_uncorrected_errors",
        pointers: &["/scsi_error_counter_log/write/total_uncorrected_errors"],
        scale: 1.0,
    },
    Field {
        metric: "storage_verify_uncorrected_errors",
        pointers: &["/scsi_error_counter_log/verify/total_uncorrected_errors"],
        scale: 1.0,
    },
];

/// ATA attributes that mean the same with every vendor.
const ATTRIBUTES: [(u64, &str); 5] = [
    (5, "storage_reallocated_sectors"),
    (187, "storage_reported_uncorrectable_errors"),
    (197, "storage_pending_sectors"),
    (198, "storage_offline_uncorrectable_sectors"),
    (199, "storage_interface_crc_errors"),
];

/// Bits 3 to 7 of the exit status.
const CONDITIONS: [(u64, &str); 5] = [
    (1 << 3, "failing"),
    (1 << 4, "prefail_attributes"),
    (1 << 5, "attributes_were_low"),
    (1 << 6, "error_log"),
    (1 << 7, "self_test_log"),
];
/// The command line was refused; the disk could not be opened, or sleeps and was left alone.
const NOTHING_READ: u64 = 0b11;
const COMMAND_FAILED: u64 = 1 << 2;

pub(super) fn read(json: &Value, disk: &Disk, sink: &mut Sink) {
    let name = disk.called();
    let Some(status) = json.pointer("/smartctl/exit_status").and_then(Value::as_u64) else {
        return sink.fault(|| format!("{name}: expected smartctl's JSON, found no exit_status"));
    };
    let message = json.pointer("/smartctl/messages/0/string").and_then(Value::as_str);
    let message = plain(message.unwrap_or("no message"));
    if status & NOTHING_READ != 0 {
        let sleeps = ["STANDBY", "SLEEP", "IDLE"].iter().any(|word| message.contains(word));
        if sleeps {
            return disk.gauge("storage_asleep", 1.0, sink);
        }
        return sink.fault(|| format!("{name}: smartctl read nothing: {message:?}"));
    }
    if status & COMMAND_FAILED != 0 {
        sink.fault(|| {
            format!("{name}: a command to the disk failed, so something may be missing: {message:?}")
        });
    }
    // An ATA disk without a sensor has 0 for its temperature.
    let senseless = json.pointer("/temperature/current").and_then(number) == Some(0.0);
    for field in FIELDS.iter().filter(|field| !senseless || field.metric != TEMPERATURE) {
        disk.take(json, field, sink);
    }
    let attributes = json.pointer("/ata_smart_attributes/table").and_then(Value::as_array);
    for attribute in attributes.into_iter().flatten() {
        let id = attribute.get("id").and_then(Value::as_u64);
        let known = ATTRIBUTES.iter().find(|(number, _)| Some(*number) == id);
        if let (Some((_, metric)), Some(value)) = (known, attribute.pointer("/raw/value").and_then(number)) {
            disk.gauge(metric, value, sink);
        }
    }
    for (bit, condition) in CONDITIONS {
        let is = f64::from(u8::from(status & bit != 0));
        disk.labelled("storage_smartctl_condition", ("is", condition), is, sink);
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::testing::{faults, probe, series};

    fn read(raw: &str) -> crate::model::Parsed {
        crate::parse::parse(&probe("storage_health", &[]), raw.as_bytes(), &Default::default())
    }

    #[test]
    fn the_exit_status_is_a_set_of_bits() {
        let parsed = read(
            "@@@ smartctl /dev/bus/0 megaraid,3\n{\"smartctl\":{\"exit_status\":72},\"smart_status\":{\"passed\":false}}\n",
        );
        assert_eq!(faults(&parsed), [""; 0]);
        assert_eq!(
            series(&parsed),
            [
                "storage_health_passed{device=bus/0:megaraid,3} 0",
                "storage_smartctl_condition{device=bus/0:megaraid,3,is=failing} 1",
                "storage_smartctl_condition{device=bus/0:megaraid,3,is=prefail_attributes} 0",
                "storage_smartctl_condition{device=bus/0:megaraid,3,is=attributes_were_low} 0",
                "storage_smartctl_condition{device=bus/0:megaraid,3,is=error_log} 1",
                "storage_smartctl_condition{device=bus/0:megaraid,3,is=self_test_log} 0",
            ]
        );
    }

    #[test]
    fn a_disk_without_a_sensor_has_no_temperature() {
        let read = |celsius: u32| {
            read(&format!(
                r#"{{"smartctl":{{"exit_status":0}},"device":{{"name":"/dev/sda"}},"temperature":{{"current":{celsius}}}}}"#
            ))
        };
        let has = |celsius| series(&read(celsius)).iter().any(|line| line.contains("celsius"));
        assert_eq!((has(0), has(31)), (false, true));
    }

    #[test]
    fn a_disk_that_was_not_read_has_no_numbers() {
        let answer = |status: u64, message: &str| {
            format!(
                r#"{{"smartctl":{{"exit_status":{status},"messages":[{{"string":"{message}"}}]}},"device":{{"name":"/dev/sda"}}}}"#
            )
        };
        let parsed = read(&answer(1, "Unable to detect device type"));
        assert_eq!(series(&parsed), [""; 0]);
        assert_eq!(faults(&parsed), ["sda: smartctl read nothing: \"Unable to detect device type\""]);
        let parsed = read(&answer(2, "Device is in STANDBY mode, exit(2)"));
        assert_eq!(series(&parsed), ["storage_asleep{device=sda} 1"]);
        let parsed = read(&answer(4, "Read SMART Log failed"));
        assert_eq!(faults(&parsed).len(), 1);
        assert_eq!(series(&parsed).len(), 5);
    }

    #[test]
    fn nonsense_is_a_fault() {
        for (raw, expected) in [
            ("", "expected the JSON of"),
            ("@@@ smartctl /dev/sda\n", "smartctl /dev/sda: expected JSON, found nothing"),
            ("@@@ smartctl /dev/sda\nsmartctl: invalid option\n", "smartctl /dev/sda: expected JSON: "),
            ("@@@ smartctl /dev/sda\n{}\n", "sda: expected smartctl's JSON"),
            ("@@@ nvme /dev/nvme0\n{\"critical_warning\":[]}\n", "nvme0: expected a smart-log"),
        ] {
            assert!(faults(&read(raw))[0].starts_with(expected), "{raw:?}: {:?}", faults(&read(raw)));
        }
    }
}
