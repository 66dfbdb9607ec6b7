//! `nvme smart-log -o json`. Its temperature is in kelvin, and numbers of 128 bits stand in quotes in
//! some versions and not in others.

use serde_json::Value;

use super::read::{Disk, Field, number};
use crate::parse::sink::Sink;

const FIELDS: [Field; 11] = [
    Field { metric: "storage_critical_warning", pointers: &["/critical_warning"], scale: 1.0 },
    Field { metric: "storage_spare_ratio", pointers: &["/avail_spare", "/available_spare"], scale: 0.01 },
    Field {
        metric: "storage_spare_threshold_ratio",
        pointers: &["/spare_thresh", "/available_spare_threshold"],
        scale: 0.01,
    },
    Field { metric: "storage_used_ratio", pointers: &["/percent_used", "/percentage_used"], scale: 0.01 },
    Field { metric: "storage_media_errors", pointers: &["/media_errors"], scale: 1.0 },
    Field { metric: "storage_logged_errors", pointers: &["/num_err_log_entries"], scale: 1.0 },
    Field { metric: "storage_unsafe_shutdowns", pointers: &["/unsafe_shutdowns"], scale: 1.0 },
    Field { metric: "storage_power_on_seconds", pointers: &["/power_on_hours"], scale: 3600.0 },
    Field { metric: "storage_power_cycles", pointers: &["/power_cycles"], scale: 1.0 },
    Field { metric: "storage_temperature_warning_seconds", pointers: &["/warning_temp_time"], scale: 60.0 },
    Field { metric: "storage_temperature_critical_seconds", pointers: &["/critical_comp_time"], scale: 60.0 },
];

/// Both tools take a whole number off, as the disk's own is whole.
const KELVIN: f64 = 273.0;
/// What no disk has in degrees Celsius, and none in kelvin.
const KELVIN_FROM: f64 = 200.0;

pub(super) fn read(json: &Value, disk: &Disk, sink: &mut Sink) {
    let Some(warning) = json.get("critical_warning").and_then(number) else {
        return sink.fault(|| format!("{}: expected a smart-log, found no critical_warning", disk.called()));
    };
    disk.gauge("storage_health_passed", f64::from(u8::from(warning == 0.0)), sink);
    if let Some(temperature) = json.get("temperature").and_then(number) {
        let offset = if temperature >= KELVIN_FROM { KELVIN } else { 0.0 };
        disk.gauge("storage_temperature_celsius", temperature - offset, sink);
    }
    for field in &FIELDS {
        disk.take(json, field, sink);
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::testing::{faults, probe, series};

    fn read(raw: &str) -> crate::model::Parsed {
        crate::parse::parse(&probe("storage_health", &[]), raw.as_bytes(), &Default::default())
    }

    #[test]
    fn numbers_in_each_form() {
        let forms = [
            r#"{"critical_warning":4,"temperature":311,"avail_spare":100,"percent_used":2,"media_errors":7,"power_on_hours":10}"#,
            r#"{"critical_warning":{"value":4},"temperature":38,"available_spare":100,"percentage_used":2,"media_errors":"7","power_on_hours":"1,0"}"#,
        ];
        for form in forms {
            let parsed = read(&format!("@@@ nvme /dev/nvme0\n{form}\n"));
            assert_eq!(faults(&parsed), [""; 0]);
            assert_eq!(
                series(&parsed),
                [
                    "storage_health_passed{device=nvme0} 0",
                    "storage_temperature_celsius{device=nvme0} 38",
                    "storage_critical_warning{device=nvme0} 4",
                    "storage_spare_ratio{device=nvme0} 1",
                    "storage_used_ratio{device=nvme0} 0.02",
                    "storage_media_errors{device=nvme0} 7",
                    "storage_power_on_seconds{device=nvme0} 36000",
                ]
            );
        }
    }

    #[test]
    fn a_log_by_itself_names_no_device() {
        assert_eq!(series(&read(r#"{"critical_warning":0}"#))[0], "storage_health_passed 1");
    }
}
