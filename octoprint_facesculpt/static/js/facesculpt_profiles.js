/* The print profiles: presets that stay as they are, copies that can be changed, and profiles from elsewhere. */
$(function () {
    function FacesculptProfilesViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const texts = (self.texts = shared.texts);
        const client = () => OctoPrint.plugins.facesculpt;
        self.plan = parameters[1];

        self.rows = ko.pureComputed(() =>
            self.plan.profiles().map((profile) => ({
                id: profile.engine + "/" + profile.key,
                engine: profile.engine,
                key: profile.key,
                name: _.sprintf(gettext("%(engine)s: %(name)s"), {
                    engine: texts.engine(profile.engine),
                    name: texts.profileName(profile)
                })
            }))
        );
        self.chosen = ko.observable();
        self.profile = ko.observable();
        self.notes = ko.observableArray([]);
        self.error = ko.observable();
        self.busy = ko.observable(false);
        self.name = ko.observable("");
        self.key = ko.observable("");
        self.value = ko.observable("");
        self.own = ko.pureComputed(() => !!self.profile() && !self.profile().preset);
        self.mayChange = ko.pureComputed(() => self.own() && shared.mayAdminister());
        self.keys = ko.pureComputed(() => Object.keys((self.profile() || {}).settings || {}).sort());
        self.settings = ko.pureComputed(() => {
            const settings = (self.profile() || {}).settings || {};
            return self.keys().map((key) => key + " = " + settings[key]).join("\n");
        });
        self.comparedWith = ko.pureComputed(() => {
            const profile = self.profile();
            if (!profile) return "";
            if (profile.preset) return gettext("A preset: it stays as it is. Change a copy of it.");
            const base = self.plan.profiles().find((p) => p.engine === profile.engine && p.key === profile.compared);
            return _.sprintf(
                profile.differences.length
                    ? gettext("Different from “%(name)s”:")
                    : gettext("The same as “%(name)s”."),
                {name: base ? texts.profileName(base) : profile.compared}
            );
        });
        self.key.subscribe((key) => {
            const settings = (self.profile() || {}).settings || {};
            if (key in settings) self.value(settings[key]);
        });

        const row = () => self.rows().find((candidate) => candidate.id === self.chosen());
        const failed = (request) => self.error(shared.errors.ofRequest(request));
        const work = (promise) => {
            self.busy(true);
            self.error(undefined);
            return promise.fail(failed).always(() => self.busy(false));
        };
        const idOf = (profile) => profile && profile.engine + "/" + profile.key;
        const clear = () => {
            self.key("");
            self.value("");
        };
        // What is being typed belongs to the profile on show: an answer that tells of the same one leaves it.
        const show = (profile) => {
            const another = idOf(profile) !== idOf(self.profile());
            self.profile(profile);
            self.name(profile.name);
            if (another) clear();
        };
        // Another one may have been chosen since this was asked for.
        const stillChosen = (action) => (profile) => self.chosen() === idOf(profile) && action(profile);
        const choose = (profile) =>
            self.plan.refresh().done(() => {
                show(profile);
                self.chosen(idOf(profile));
            });

        self.chosen.subscribe(() => {
            const found = row();
            self.notes([]);
            if (!found) return self.profile(undefined);
            if (idOf(self.profile()) === found.id) return;
            work(client().profile(found.engine, found.key)).done(stillChosen(show));
        });

        self.open = (form) => {
            self.error(undefined);
            const engine = form && form.engine && form.engine();
            const key = form && form.profileKey && form.profileKey();
            if (engine && key) self.chosen(engine + "/" + key);
            shared.openDialog($("#facesculpt_profiles"));
        };

        self.copy = () => {
            const profile = self.profile();
            const name = _.sprintf(gettext("%(name)s (copy)"), {name: texts.profileName(profile)}).slice(0, 80);
            work(client().copyProfile(profile.engine, profile.key, name)).done(choose);
        };

        self.rename = () => {
            const name = self.name().trim();
            if (name && name !== self.profile().name) self._change({name: name});
        };

        self._change = (changes) =>
            work(client().changeProfile(self.profile().engine, self.profile().key, changes))
                .done(stillChosen(show))
                .done(self.plan.refresh);

        self.set = () => {
            const key = self.key().trim();
            if (key) self._change({settings: {[key]: self.value()}}).done(stillChosen(clear));
        };

        self.reset = (difference) => self._change({settings: {[difference.key]: null}});

        self.remove = () => {
            const profile = self.profile();
            $("#facesculpt_profiles").modal("hide");
            shared.confirm(
                gettext("Delete this profile?"),
                _.sprintf(gettext("“%(name)s” will be deleted. Sculptures that were made with it stay."), {
                    name: profile.name
                }),
                gettext("Delete profile"),
                () =>
                    client()
                        .deleteProfile(profile.engine, profile.key)
                        .done(() => {
                            self.profile(undefined);
                            self.plan.refresh();
                        })
                        .fail(shared.complain(gettext("The profile could not be deleted")))
            );
        };

        self.upload = (data, event) => {
            const file = event.target.files[0];
            event.target.value = "";
            if (!file) return;
            work(client().importProfile(file)).done((profile) =>
                choose(profile).done(() => {
                    self.notes((profile.imported || []).map(texts.ofImport));
                    shared.announce(_.sprintf(gettext("“%(name)s” was imported."), {name: profile.name}));
                })
            );
        };
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptProfilesViewModel,
        dependencies: ["facesculptViewModel", "facesculptPlanViewModel"],
        elements: ["#facesculpt_profiles"]
    });
});
