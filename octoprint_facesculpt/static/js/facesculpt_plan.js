/*
 * How a sculpture is printed: slicer, profile, what decides about its size, and the care for its face. The same fields stand in
 * the form that orders a sculpture and in the dialog that plans a finished one anew.
 */
$(function () {
    const MIN_HEIGHT = 20;
    const MAX_HEIGHT = 400;
    const MASK = "mask"; // the preset for masks, of all slicers

    function FacesculptPlanViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const texts = shared.texts;
        self.printerProfiles = parameters[1];

        /** All profiles of all slicers, and OctoPrint's printer profiles. */
        self.profiles = ko.observableArray([]);
        self.printers = ko.observableArray([]);
        self.defaultProfile = ko.observable();
        self.engines = ko.pureComputed(() =>
            ((shared.status() || {}).slicers || []).filter((slicer) => slicer.found)
        );

        /** The tallest sculpture: the printer's volume, if OctoPrint knows it. */
        self.maxHeight = ko.pureComputed(() => {
            const profile = self.printerProfiles.currentProfileData();
            const volume = profile && profile.volume && Number(ko.unwrap(profile.volume.height));
            return volume > MIN_HEIGHT ? Math.min(MAX_HEIGHT, Math.floor(volume)) : MAX_HEIGHT;
        });

        self.cares = [
            {key: "spare", name: gettext("Keep supports off it where it prints without")},
            {key: "free", name: gettext("Keep all of it free, even where it may sag")},
            {key: "ignore", name: gettext("Supports wherever the slicer wants them")}
        ];
        self.goals = [
            {key: "height", name: gettext("The height")},
            {key: "hours", name: gettext("The print time")},
            {key: "grams", name: gettext("The filament")}
        ];
        self.keeps = [
            {key: false, name: gettext("Choose the size")},
            {key: true, name: gettext("Keep the height, choose the layers")}
        ];

        /** The fields; `prefix` makes their identifiers unique in the page. */
        self.form = (prefix) => {
            const form = {prefix: prefix, plan: self, texts: texts};
            form.id = (name) => "facesculpt_" + prefix + name;
            form.engine = ko.observable();
            form.style = ko.observable("bust");
            form.profileKey = ko.observable();
            form.printer = ko.observable("");
            form.height = ko.observable(160);
            form.goal = ko.observable("height");
            form.hours = ko.observable(26);
            form.grams = ko.observable(240);
            form.keepHeight = ko.observable(false);
            form.left = ko.observable("");
            form.care = ko.observable("spare");

            form.profiles = ko.pureComputed(() => {
                const engine = form.engine() || (self.engines()[0] || {}).key;
                return self.profiles().filter((profile) => profile.engine === engine);
            });
            form.profile = ko.pureComputed(() =>
                form.profiles().find((profile) => profile.key === form.profileKey())
            );
            form.profileHelp = ko.pureComputed(() => (form.profile() ? texts.profileHelp(form.profile()) : ""));
            form.byHeight = ko.pureComputed(() => form.goal() === "height");
            form.heightAsked = ko.pureComputed(() => form.byHeight() || form.keepHeight());
            form.heightHelp = ko.pureComputed(() =>
                _.sprintf(
                    form.style() === "mask"
                        ? gettext("From %(min)d to %(max)d mm, measured from the chin to the upper edge.")
                        : gettext("From %(min)d to %(max)d mm, measured from the bed to the crown of the head."),
                    {min: MIN_HEIGHT, max: self.maxHeight()}
                )
            );
            form.heightInvalid = ko.pureComputed(() => {
                const height = Number(form.height());
                return form.heightAsked() && !(height >= MIN_HEIGHT && height <= self.maxHeight());
            });
            form.targetInvalid = ko.pureComputed(() => {
                if (form.goal() === "hours") return !(Number(form.hours()) >= 0.25 && Number(form.hours()) <= 500);
                if (form.goal() === "grams") return !(Number(form.grams()) >= 1 && Number(form.grams()) <= 20000);
                return false;
            });
            form.leftInvalid = ko.pureComputed(() => {
                const left = Number(form.left());
                return form.left() !== "" && !(left >= 0 && left <= 100000);
            });
            form.valid = ko.pureComputed(
                () => !form.heightInvalid() && !form.targetInvalid() && !form.leftInvalid()
            );

            // A preset that is made for a time brings it along when it is chosen, not when profiles are fetched anew.
            const targetHours = ko.pureComputed(() => (form.profile() || {}).target_hours);
            targetHours.subscribe((hours) => {
                if (!hours || form.loading) return;
                form.goal("hours");
                form.hours(hours);
                form.keepHeight(false);
            });

            // A mask is printed with walls and a brim of its own, and what comes after it as what came before.
            form.style.subscribe((style) => {
                if (form.loading) return;
                const key = form.profileKey();
                if (style === "mask" && key !== MASK) {
                    form.before = key;
                    form.profileKey(MASK);
                } else if (style !== "mask" && key === MASK) {
                    form.profileKey(form.before || usual(style));
                }
            });
            const usual = (style) =>
                style === "mask" ? MASK : ((shared.status() || {}).defaults || {}).profile || self.defaultProfile();

            // A profile that was deleted, or that the other slicer does not have, gives way to the usual one.
            const replaceUnknown = () => {
                if (form.profiles().length && !form.profile()) form.profileKey(usual(form.style()));
            };
            form.profiles.subscribe(() => form.loading || replaceUnknown());

            /** Fills the fields with what was ordered, or with the usual. */
            form.load = (settings, slicing) => {
                const defaults = (shared.status() || {}).defaults || {};
                const target = slicing.target;
                form.loading = true;
                form.style(settings.style || "bust");
                form.engine(slicing.engine || (self.engines()[0] || {}).key);
                form.profileKey(slicing.profile || usual(form.style()));
                replaceUnknown();
                form.printer(slicing.printer || "");
                form.height(settings.height_mm ? Math.round(settings.height_mm * 10) / 10 : defaults.height_mm || 160);
                // What nobody has ordered yet follows its preset, if that is made for a time.
                const hours = !slicing.profile && targetHours();
                form.goal(target ? target.kind : hours ? "hours" : "height");
                if (target) form[target.kind](target.value);
                if (hours) form.hours(hours);
                form.keepHeight(!!(target && target.fixed_height));
                form.left(slicing.filament_left_g || "");
                form.care(slicing.face_care || "spare");
                form.loading = false;
            };

            form.settings = () => (form.heightAsked() ? {height_mm: Number(form.height())} : {});

            form.slicing = () => {
                const slicing = {face_care: form.care(), printer: form.printer() || ""};
                if (form.engine()) slicing.engine = form.engine();
                if (form.profileKey()) slicing.profile = form.profileKey();
                slicing.filament_left_g = Number(form.left()) || 0;
                slicing.target = form.byHeight()
                    ? null
                    : {kind: form.goal(), value: Number(form[form.goal()]()), fixed_height: form.keepHeight()};
                return slicing;
            };
            return form;
        };

        //~~ The dialog that plans a finished sculpture anew

        self.again = self.form("again_");
        self.orientation = ko.observable();
        self.expression = ko.observable();
        self.detail = ko.observable();
        self.hair = ko.observable();
        self.sculpture = ko.observable();
        self.error = ko.observable();
        self.sending = ko.observable(false);

        self.poses = ko.pureComputed(() => {
            const choices = texts.poseChoices(self.again.style());
            const compared = self.sculpture() ? self.sculpture().poses() : [];
            const others = compared.filter((pose) => !choices.some((choice) => choice.key === pose.key));
            return choices.concat(others);
        });

        self.planAgain = (sculpture) => self._open(sculpture, (sculpture.data().settings || {}).orientation);

        /** The dialog, with one of the poses that were compared. */
        self.choosePose = (sculpture, pose) => self._open(sculpture, pose);

        self._open = (sculpture, orientation) => {
            const data = sculpture.data();
            self.error(undefined);
            self.again.load(data.settings || {}, data.slicing || {});
            self.sculpture(sculpture);
            self.orientation(orientation || "upright");
            self.expression(_.extend({expression: 1}, data.settings).expression);
            // A sculpture that does not say them is older than detail and hair.
            self.detail(_.extend({detail: 0}, data.settings).detail);
            self.hair(!!(data.settings || {}).hair);
            shared.openDialog($("#facesculpt_again"));
        };

        self.send = () => {
            if (self.sending() || !self.again.valid()) return;
            self.sending(true);
            self.error(undefined);
            const sculpture = self.sculpture();
            OctoPrint.plugins.facesculpt
                .planAgain(sculpture.id, {
                    settings: _.extend(
                        {
                            orientation: self.orientation(),
                            expression: self.expression(),
                            detail: self.detail(),
                            hair: self.hair()
                        },
                        self.again.settings()
                    ),
                    slicing: self.again.slicing()
                })
                .done((json) => {
                    sculpture.data(json);
                    if (self.sculpture() === sculpture) $("#facesculpt_again").modal("hide");
                    shared.announce(_.sprintf(gettext("“%(name)s” is in the making."), {name: json.name}));
                })
                .fail((request) => self.sculpture() === sculpture && self.error(shared.errors.ofRequest(request)))
                .always(() => self.sending(false));
        };

        self.refresh = () => {
            if (!shared.mayView()) return self.profiles([]);
            return OctoPrint.plugins.facesculpt.profiles().done((answer) => {
                self.profiles(answer.profiles);
                self.printers(answer.printers);
                self.defaultProfile(answer.default);
            });
        };

        shared.follow(self, {});
        self.onEventSettingsUpdated = self.refresh;
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptPlanViewModel,
        dependencies: ["facesculptViewModel", "printerProfilesViewModel"],
        elements: ["#facesculpt_again"]
    });
});
