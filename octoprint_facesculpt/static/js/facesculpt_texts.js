/*
 * What the server's names and figures mean in the reader's language. Its own English sentence is the fallback, so that a name
 * that is not listed here is still explained.
 */
$(function () {
    function FacesculptTextsViewModel() {
        const self = this;

        const notes = {
            occluded: gettext("Part of the face may be covered."),
            several_faces: gettext("There are several faces in this photo; one of them was chosen."),
            cropped: gettext("The photo cuts off part of the face."),
            no_hair: gettext("There is no hair, because a model file is missing. Fetch it and make the sculpture anew."),
            low_resolution: gettext("The face is small in the photo. A larger picture would give finer details."),
            profile_view: gettext("The face is seen from the side. The far half has to be guessed."),
            stored_turned: gettext("The photo was not stored upright and has been turned."),
            later_picture: gettext("The file's first picture shows no face; a later one was taken."),
            turned: gettext("The face is turned. One side is seen better than the other."),
            photos_disagree: gettext("The photos differ. Do they show the same person?"),
            dark: gettext("The face is very dark."),
            overexposed: gettext("Parts of the face are so bright that nothing can be seen in them."),
            low_contrast: gettext("The face has little contrast."),
            blurred: gettext("The face is a little blurred.")
        };

        const profiles = {
            bust_012: [
                gettext("Bust, fine (0.12 mm)"),
                gettext("The finest layers; takes about a third longer than 0.16 mm.")
            ],
            bust_016: [
                gettext("Bust (0.16 mm)"),
                gettext("The balance of detail and time: a bust of 16 cm takes about a day.")
            ],
            bust_020: [gettext("Bust, faster (0.20 mm)"), gettext("The layers can be felt.")],
            bust_028: [
                gettext("Preview (0.28 mm)"),
                gettext("Quick and coarse, to judge the size before the real print.")
            ],
            bust_26h: [
                gettext("Bust, 26 h"),
                gettext("Layers of 0.16 mm, and as large as can be printed in 26 hours.")
            ],
            mask: [gettext("Mask"), gettext("More walls, and a wide brim that holds it flat on the bed.")]
        };

        const engines = {prusaslicer: "PrusaSlicer", curaengine: "CuraEngine"};

        const lines = {
            outer: gettext("Outer wall"),
            inner: gettext("Inner walls"),
            skin: gettext("Top and bottom"),
            bridge: gettext("Overhang"),
            infill: gettext("Infill"),
            support: gettext("Support"),
            interface: gettext("Support that touches"),
            rim: gettext("Brim"),
            other: gettext("Other")
        };

        // What happened to an imported profile.
        const imports = {
            dropped: gettext("Left out, because it runs programs, names files or holds passwords:"),
            unknown: gettext("Left out, because this version of the slicer does not know it:"),
            substituted: gettext("Replaced, because this version of the slicer does not know its value:"),
            of_printer: gettext("Size and origin of the bed come from OctoPrint’s printer profile."),
            lasting_gcode: gettext("Its own G-code changes the printer’s memory or card; look at it before you print:"),
            parent_missing: gettext("What it inherits from these presets is left out, because they are not known here:"),
            filled_up: gettext("It is not whole; what is missing comes from the preset."),
            other_printer: gettext("It was made for another printer; here it is used for the Ender 3."),
            other_quality: gettext("The Ender 3 does not know its quality; the standard one is taken for it.")
        };
        const withKeys = ["dropped", "unknown", "substituted", "lasting_gcode", "parent_missing"];

        const warnings = {
            filament_short: gettext("The filament on the spool does not suffice."),
            target_missed: gettext("The time or filament that was asked for could not be met."),
            small_foot: gettext("Little of it stands on the bed. Use a brim."),
            tips_over: gettext("It tips over easily while it is printed."),
            face_touched: gettext("Supports touch the face and will leave marks.")
        };

        const stages = {
            reconstruct: gettext("Shaping the face"),
            sculpt: gettext("Making the sculpture"),
            slice: gettext("Preparing the print")
        };

        const stageStates = {
            waiting: gettext("waiting"),
            running: gettext("in progress"),
            done: gettext("done"),
            failed: gettext("failed"),
            cancelled: gettext("cancelled")
        };

        const sculptureStates = {
            waiting: gettext("Waiting"),
            working: gettext("In the making"),
            ready: gettext("Finished"),
            failed: gettext("Could not be made"),
            cancelled: gettext("Cancelled")
        };

        const queueStates = {
            queued: gettext("Waiting"),
            printing: gettext("Printing"),
            paused: gettext("Paused"),
            done: gettext("Printed"),
            failed: gettext("Print failed"),
            cancelled: gettext("Print cancelled")
        };

        const photoStates = {
            checking: gettext("Looking for the face …"),
            ready: gettext("Ready"),
            failed: gettext("Cannot be used")
        };

        const preset = (profile) => profiles[profile.key.replace(/_tree$/, "")];
        const branched = (profile) => /_tree$/.test(profile.key);
        const isPreset = (profile) => profile.preset !== false && preset(profile);
        self.profileName = (profile) =>
            !isPreset(profile)
                ? profile.name
                : branched(profile)
                  ? _.sprintf(gettext("%(name)s, tree supports"), {name: preset(profile)[0]})
                  : preset(profile)[0];
        self.profileHelp = (profile) =>
            !isPreset(profile)
                ? profile.description || ""
                : preset(profile)[1] +
                  (branched(profile)
                      ? " " + gettext("Supports branch like trees: they touch less, and take longer to compute.")
                      : "");
        self.engine = (key) => engines[key] || key;
        self.line = (kind) => lines[kind] || kind;
        self.warning = (warning) => warnings[warning.code] || warning.message;
        self.ofImport = (note) =>
            imports[note.code]
                ? imports[note.code] + (withKeys.includes(note.code) ? " " + note.keys.join(", ") : "")
                : note.message;
        self.stage = (name) => stages[name] || name;
        self.stageState = (state) => stageStates[state] || state;
        self.sculptureState = (state) => sculptureStates[state] || state;
        self.queueState = (state) => queueStates[state] || state;
        self.photoState = (state) => photoStates[state] || state;
        self.ofNote = (note) => notes[note.code] || note.message || note.code;

        const language = (window.LOCALE || "en").replace("_", "-");
        self.number = (value, digits) =>
            Number(value).toLocaleString(language, {
                minimumFractionDigits: digits || 0,
                maximumFractionDigits: digits || 0
            });

        self.percent = (fraction) => Math.round(100 * Math.min(1, Math.max(0, fraction || 0)));

        /** Seconds as people say them: "9 h 20 min", "45 s". */
        self.duration = (seconds) => {
            if (!_.isFinite(seconds) || seconds === null) return "–";
            const minutes = Math.round(seconds / 60);
            if (seconds < 90) return _.sprintf(gettext("%(seconds)d s"), {seconds: Math.round(seconds)});
            const values = {hours: Math.floor(minutes / 60), minutes: minutes % 60};
            if (minutes < 60) return _.sprintf(gettext("%(minutes)d min"), values);
            return _.sprintf(gettext("%(hours)d h %(minutes)d min"), values);
        };

        const poseNames = {
            upright: gettext("Upright"),
            leaning: gettext("Leaning back"),
            lying: gettext("On its back")
        };

        const styles = {bust: gettext("Bust"), head: gettext("Head"), mask: gettext("Mask")};
        self.style = (style) => styles[style] || styles.bust;

        /** How much of the photo's expression a sculpture can have. */
        self.expressions = [
            {share: 1, name: gettext("As in the photo")},
            {share: 0.5, name: gettext("Half as strong")},
            {share: 0, name: gettext("None: the face at rest")}
        ];

        /** How much of what the photo shows of a face's relief is carved into a sculpture. */
        self.details = [
            {share: 1, name: gettext("As in the photo")},
            {share: 1.5, name: gettext("Stronger, for small prints")},
            {share: 0.5, name: gettext("Half as strong")},
            {share: 0, name: gettext("None: a smooth face")}
        ];

        /** The poses that can be asked for, of a style. */
        self.poseChoices = (style) => {
            const best = {key: "auto", name: gettext("As it prints best")};
            if (style === "mask") {
                return [
                    best,
                    {key: "lying", name: gettext("Printed lying on its flat back")},
                    {key: "upright", name: gettext("Printed standing on its chin")}
                ];
            }
            return [
                best,
                {key: "upright", name: gettext("Upright, as on the photo")},
                {key: "tilt_10", name: gettext("Upright, the head tilted back a little")},
                {key: "leaning", name: gettext("Printed leaning back")},
                {key: "lying", name: gettext("Printed lying on the back of the head")}
            ];
        };

        /** A pose that was compared: its name, its figures in a line, and its picture. `share` corrects its time. */
        self.pose = (pose, share) => {
            const area = (text, value) =>
                _.isFinite(value)
                    ? _.sprintf(text, {area: _.sprintf(gettext("%(area)s cm²"), {area: self.number(value / 100, 1)})})
                    : "";
            return {
                key: pose.pose,
                url: pose.url,
                name:
                    poseNames[pose.pose] ||
                    (_.isFinite(pose.tilt_deg)
                        ? _.sprintf(gettext("Head tilted back by %(degrees)d°"), {degrees: pose.tilt_deg})
                        : pose.pose),
                figures: [
                    pose.seconds > 0
                        ? _.sprintf(gettext("about %(duration)s"), {duration: self.duration(share * pose.seconds)})
                        : "",
                    area(gettext("overhang of the face %(area)s"), pose.face_overhang_mm2),
                    area(gettext("on the bed %(area)s"), pose.base_area_mm2)
                ]
                    .filter(Boolean)
                    .join(", ")
            };
        };

        /** What is known about a print, as rows of a name, a value and a detail. */
        self.estimates = (estimates) => {
            if (!estimates) return [];
            const plan = estimates.plan || {};
            const rows = [];
            const add = (name, value, detail) => rows.push({name: name, value: value, detail: detail || ""});
            const grams = (weight) => _.sprintf(gettext("%(weight)s g"), {weight: self.number(weight)});
            const target = plan.target;
            const asked = (kind) => {
                if (!target || target.kind !== kind) return "";
                const value = kind === "hours" ? self.duration(3600 * target.value) : grams(target.value);
                return _.sprintf(gettext("asked for: %(value)s"), {value: value});
            };
            if (estimates.seconds) {
                const learnt = plan.prints
                    ? _.sprintf(gettext("corrected by %(count)d earlier prints"), {count: plan.prints})
                    : "";
                add(
                    gettext("Print time"),
                    self.duration(estimates.seconds),
                    [asked("hours"), learnt].filter(Boolean).join(", ")
                );
            }
            if (estimates.filament_mm)
                add(
                    gettext("Filament"),
                    _.sprintf(gettext("%(length)s m"), {length: self.number(estimates.filament_mm / 1000, 1)}) +
                        (estimates.filament_g
                            ? _.sprintf(gettext(" (%(weight)s g)"), {weight: self.number(estimates.filament_g)})
                            : ""),
                    asked("grams")
                );
            if (estimates.layers)
                add(
                    gettext("Layers"),
                    self.number(estimates.layers),
                    plan.layer_mm ? _.sprintf(gettext("of %(height)s mm"), {height: self.number(plan.layer_mm, 2)}) : ""
                );
            // A few specks are no share worth telling, and yet they leave marks.
            const supported = plan.support_share > 0 || plan.contact_mm2 > 0;
            if (plan.support_share !== undefined)
                add(
                    gettext("Supports"),
                    plan.support_share > 0.0005
                        ? _.sprintf(gettext("%(percent)s %%, %(weight)s g"), {
                              percent: self.number(100 * plan.support_share),
                              weight: self.number(plan.support_g)
                          })
                        : supported
                          ? gettext("hardly any")
                          : gettext("none"),
                    supported && _.isNumber(plan.face_contact_mm2)
                        ? _.sprintf(gettext("touch %(area)s cm² of the face"), {
                              area: self.number(plan.face_contact_mm2 / 100, 1)
                          })
                        : ""
                );
            if (estimates.height_mm)
                add(
                    gettext("Height of the print"),
                    _.sprintf(gettext("%(height)s mm"), {height: self.number(Math.round(estimates.height_mm))})
                );
            return rows;
        };

        self.megabytes = (bytes) =>
            _.sprintf(gettext("%(size)s MB"), {size: self.number(bytes / (1024 * 1024), bytes < 10485760 ? 1 : 0)});
    }

    OCTOPRINT_VIEWMODELS.push({construct: FacesculptTextsViewModel, dependencies: [], elements: []});
});
